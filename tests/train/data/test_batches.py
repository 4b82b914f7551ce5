from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from maskinfer.data.dataset import Dataset
from maskinfer.data.geometry import Geometry
from maskinfer.data.images import Photo, load_photo
from maskinfer.data.labels import Face, Sample
from maskinfer.train.data import batches as module
from maskinfer.train.data.batches import (
    Batch,
    EpochOrder,
    Key,
    MeasuredBatches,
    SampleCanvases,
    loader,
    measure_normalisation,
)
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.settings import Augmentation


def _order(
    proper: list[bool],
    *,
    balance: bool,
    processes: int = 1,
    process: int = 0,
    epoch: int = 1,
    incorrectly: Container[int] = (),
    **changes: object,
) -> list[Key]:
    samples = [
        Sample(Path(f"{index}.jpg"), (0, 0, 1, 1), label, worn_incorrectly=index in incorrectly)
        for index, label in enumerate(proper)
    ]
    settings = replace(
        recipe_settings("lite", "default", ("data",), 64),
        **{"batch_size": 4, "balance": balance, **changes},  # type: ignore[arg-type]
    )
    return list(EpochOrder(samples, settings, processes, process, epoch))


def test_order_draws_every_sample_once_without_balance() -> None:
    keys = _order([True] * 7 + [False] * 3, balance=False)
    assert sorted(key.sample for key in keys) == list(range(10))


def test_order_differs_from_epoch_to_epoch_and_repeats_with_the_seed() -> None:
    proper = [True, False] * 10
    first, second = (_order(proper, balance=False, epoch=epoch) for epoch in (1, 2))
    assert [k.sample for k in first] != [k.sample for k in second]
    assert first == _order(proper, balance=False, epoch=1)


def test_order_balanced_draws_both_labels_equally_often() -> None:
    proper = [True] * 90 + [False] * 10
    keys = _order(proper, balance=True)
    assert len(keys) == 100
    assert sum(proper[key.sample] for key in keys) == 50
    rare = [key.sample for key in keys if not proper[key.sample]]
    assert all(rare.count(index) == 5 for index in range(90, 100))


def test_order_balanced_draws_masks_worn_incorrectly_an_eighth_of_the_time() -> None:
    proper = [True] * 60 + [False] * 20
    keys = _order(proper, balance=True, incorrectly=(78, 79))
    drawn = [key.sample for key in keys]
    assert sum(proper[sample] for sample in drawn) == 40
    assert sum(sample >= 78 for sample in drawn) == 10


def test_every_batch_has_one_of_the_sides_on_every_process() -> None:
    sides = (64, 96, 128)
    shares = [
        _order([True, False] * 40, balance=False, processes=2, process=process, canvases=sides)
        for process in range(2)
    ]
    by_batch: dict[int, set[int | None]] = {}
    for key in (*shares[0], *shares[1]):
        by_batch.setdefault(key.position // 4, set()).add(key.canvas)
    assert all(len(its) == 1 for its in by_batch.values())
    assert {side for its in by_batch.values() for side in its} == set(sides)


def test_order_balanced_with_one_label_draws_every_sample_once() -> None:
    keys = _order([True] * 5, balance=True)
    assert sorted(key.sample for key in keys) == list(range(5))


@given(count=st.integers(1, 40), processes=st.integers(1, 5), balance=st.booleans())
def test_order_is_shared_out_evenly_among_processes(
    count: int, processes: int, balance: bool
) -> None:
    proper = [index % 3 == 0 for index in range(count)]
    shares = [
        _order(proper, balance=balance, processes=processes, process=process)
        for process in range(processes)
    ]
    assert len({len(share) for share in shares}) == 1
    drawn = [key for share in shares for key in share]
    assert len({key.position for key in drawn}) == len(drawn)
    if not balance:
        assert {key.sample for key in drawn} == set(range(count))


def test_batch_tells_faces_to_learn_from_faces_that_are_cut_off(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    Image.new("RGB", (64, 32)).save(tmp_path / "b.png")
    crowd = (Face((-20, 0, 40, 40), False), Face((-30, 0, 40, 40), True), Face((9, 9, 0, 5), True))
    samples = [
        Sample(tmp_path / "a.png", (20, 20, 20, 20), True, crowd),
        Sample(tmp_path / "b.png", (0, 0, 20, 20), False, crowds=((30, 0, 50, 32),)),
    ]
    canvases = SampleCanvases(samples, Geometry.letterbox(64))
    targets = canvases.collate([canvases[Key(1, index, index)] for index in range(2)]).targets

    assert targets.learnt.tolist() == [[True, True, False, False], [True, False, False, False]]
    assert targets.faces_proper[0].tolist() == [1, 0, 1, 1]
    assert targets.faces_xywh[0, 1].tolist() == [0, 0, 20, 40]
    assert targets.faces_xywh[1, 0].tolist() == [0, 16, 20, 20]  # 16 rows of grey above
    assert targets.faces_xywh[1, 1].tolist() == [30, 16, 34, 32]  # the crowd, passed over
    assert targets.boxes_xywh[0].tolist() == [20, 20, 20, 20]


def _changed(
    canvases: SampleCanvases, keys: list[Key]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canvases, labelled boxes and all boxes, with all changes made to them."""
    batch = canvases.collate([canvases[key] for key in keys])
    assert batch.changes is not None
    pixels, targets = batch.changes.make(batch.canvases, batch.targets)
    return pixels.numpy(), targets.boxes_xywh.numpy(), targets.faces_xywh.numpy()


def test_flip_mirrors_canvas_and_boxes(drawn: Path) -> None:
    samples = Dataset(drawn / "train").samples("test").samples
    plain = SampleCanvases(samples, Geometry.letterbox(64))
    keys = [Key(1, index, index) for index in range(len(samples))]
    flipped = _changed(SampleCanvases(samples, Geometry.letterbox(64), ("flip",), seed=3), keys)
    before = plain.collate([plain[key] for key in keys])
    assert before.changes is None
    same = (flipped[0] == before.canvases.numpy()).all(axis=(1, 2, 3))
    assert 0 < same.sum() < len(samples)
    for mirrored, boxes in zip(flipped[1:], (before.targets[0], before.targets[2]), strict=True):
        expected = boxes.numpy().copy()
        expected[~same, ..., 0] = 64 - expected[~same, ..., 0] - expected[~same, ..., 2]
        np.testing.assert_allclose(mirrored, expected, rtol=1e-6)
    np.testing.assert_array_equal(flipped[0][~same], before.canvases.numpy()[~same][:, :, ::-1])


def test_colors_change_as_pillow_changes_them(drawn: Path) -> None:
    samples = Dataset(drawn / "train").samples("test").samples
    plain = SampleCanvases(samples, Geometry.letterbox(64))
    colored = SampleCanvases(samples, Geometry.letterbox(64), ("color",), seed=3)
    keys = [Key(1, index, index) for index in range(len(samples))]
    changed = _changed(colored, keys)[0]
    for key, ours in zip(keys, changed, strict=True):
        image = Image.fromarray(plain[key].canvas)
        factors = colored[key].changes.color[0].tolist()
        for change, factor in zip(
            (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color),
            factors,
            strict=True,
        ):
            image = change(image).enhance(factor)
        # Pillow cuts fractions off after each of the three.
        np.testing.assert_allclose(ours.astype(int), np.asarray(image).astype(int) + 1.5, atol=2.5)


def test_mosaic_shows_every_face_at_half_its_size_where_it_says(tmp_path: Path) -> None:
    """Each face is the only red of its photo, so pixels tell where the faces of a mosaic are."""
    samples = []
    for index, (x, y, side) in enumerate([(8, 8, 16), (32, 16, 24), (0, 40, 20), (44, 4, 16)]):
        photo = Image.new("RGB", (64, 64), (0, 0, 200))
        photo.paste((255, 0, 0), (x, y, x + side, y + side))
        photo.save(tmp_path / f"{index}.png")
        samples.append(Sample(tmp_path / f"{index}.png", (x, y, side, side), index % 2 == 0))
    canvases = SampleCanvases(samples, Geometry.letterbox(64), ("mosaic",), seed=1)
    batch = canvases.collate([canvases[Key(1, index, index % 4)] for index in range(32)])
    mosaics = 0
    for canvas, boxes, proper, learnt, label in zip(
        batch.canvases.numpy(),
        batch.targets.faces_xywh.numpy(),
        batch.targets.faces_proper,
        batch.targets.learnt,
        batch.targets.boxes_xywh.numpy(),
        strict=True,
    ):
        red = np.zeros((64, 64), bool)
        for x, y, w, h in boxes[learnt].astype(int):
            red[y : y + h, x : x + w] = True
        np.testing.assert_array_equal(canvas[..., 0] > 127, red)
        assert label.tolist() == boxes[0].tolist()
        assert len(proper[learnt]) in (1, 4)
        mosaics += int(learnt.sum()) == 4
    assert 3 < mosaics < 24


def test_batch_says_which_boxes_are_known_and_how_masks_are_worn(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    others = (Face((0, 0, 9, 9), False), Face((9, 9, 9, 9), False, worn_incorrectly=True))
    sample = Sample(tmp_path / "a.png", (20, 20, 20, 20), True, others, False, box_known=False)
    canvases = SampleCanvases([sample], Geometry.letterbox(64))
    targets = canvases.collate([canvases[Key(1, 0, 0)]]).targets
    assert targets.box_known.tolist() == [[False, True, True]]
    assert targets.incorrectly.tolist() == [[0, -1, 1]]


def test_augmentation_follows_from_seed_epoch_and_place_alone(drawn: Path) -> None:
    samples = Dataset(drawn / "train").samples("test").samples
    make = lambda: SampleCanvases(samples, Geometry.letterbox(64), ("crop", "color"), seed=5)  # noqa: E731
    first, again = (_changed(make(), [Key(2, 3, 1)])[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, _changed(make(), [Key(3, 3, 1)])[0])


def test_crop_and_zoom_are_both_done(drawn: Path) -> None:
    samples = Dataset(drawn / "train").samples("test").samples
    cropped, both = (
        SampleCanvases(samples, Geometry.letterbox(64), augment, seed=5)
        for augment in (("crop",), ("crop", "zoom"))
    )
    keys = [Key(2, index, index) for index in range(len(samples))]
    # Not always: one photo in five stays whole, and a crop may leave nothing to zoom into.
    assert not all(np.array_equal(cropped[key].canvas, both[key].canvas) for key in keys)


def test_normalisation_is_that_of_the_training_canvases(tmp_path: Path) -> None:
    paths = [tmp_path / f"{value}.png" for value in (100, 200)]
    for path, value in zip(paths, (100, 200), strict=True):
        Image.new("RGB", (64, 64), (value, 50, 0)).save(path)
    samples = [Sample(path, (0, 0, 1, 1), True) for path in paths]
    mean, std = measure_normalisation(samples, Geometry.letterbox(64), seed=0)
    np.testing.assert_allclose(mean, [150, 50, 0])
    np.testing.assert_allclose(std, [50, 1, 1])  # never 0, which could not be divided by


def _photos(folder: Path, count: int) -> list[Sample]:
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.new("RGB", (64, 64), (index, 0, 0)).save(path)
    return [Sample(path, (8, 8, 16, 16), proper_mask=True) for path in paths]


def _reds(batches: Iterable[Batch]) -> list[list[int]]:
    return [batch.canvases[:, 0, 0, 0].tolist() for batch in batches]


@pytest.mark.parametrize(
    ("room", "gone"), [(400 * 2**20, "*"), (4 * 64 * 64 * 3, "[0-3].png"), (0, "no such")]
)
def test_measured_photos_are_drawn_once_as_far_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, gone: str
) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", room)
    settings = replace(recipe_settings("lite", "default", ("data",), 64), batch_size=4, workers=0)
    batches = MeasuredBatches(_photos(tmp_path, 10), settings)
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3
    assert _reds(batches) == expected
    for path in tmp_path.glob(gone):
        path.unlink()
    assert _reds(batches) == expected


def test_every_process_measures_its_share(tmp_path: Path) -> None:
    settings = replace(recipe_settings("lite", "default", ("data",), 64), batch_size=4, workers=0)
    samples = _photos(tmp_path, 5)
    shares = [MeasuredBatches(samples, settings, 2, process) for process in range(2)]
    assert [_reds(share) for share in shares] == [[[0, 2], [4]], [[1, 3]]]
    assert [len(share) for share in shares] == [2, 1]


def test_workers_that_train_are_started_once(tmp_path: Path) -> None:
    settings = replace(
        recipe_settings("lite", "default", ("data",), 64), batch_size=4, workers=1, balance=False
    )
    samples = _photos(tmp_path, 8)
    order = EpochOrder(samples, settings, 1, 0)
    batches = loader(SampleCanvases(samples, settings.geometry), order, settings)
    first = iter(batches)
    epochs = [sorted(chain(*_reds(first)))]
    order.epoch = 1
    second = iter(batches)
    epochs.append(sorted(chain(*_reds(second))))
    assert second is first
    assert epochs == [list(range(8))] * 2


@pytest.mark.parametrize(("augment", "width"), [((), 128), (("flip",), 128), (("crop",), 256)])
def test_photos_are_decoded_finely_only_where_a_part_is_enlarged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: tuple[Augmentation, ...], width: int
) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (1024, 1024)).save(path)
    widths = []

    def load(path: Path, least_wh: Callable[[tuple[int, int]], tuple[int, int]]) -> Photo:
        photo = load_photo(path, least_wh)
        widths.append(photo.pixels.shape[1])
        return photo

    monkeypatch.setattr(module, "load_photo", load)
    sample = Sample(path, (8, 8, 512, 512), proper_mask=True)
    SampleCanvases([sample], Geometry.letterbox(64), augment)[Key(1, 0, 0)]
    assert widths == [width]
