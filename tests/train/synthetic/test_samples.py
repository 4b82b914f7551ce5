from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskinfer.cli import make_app
from maskinfer.data.boxes import iou_xywh, xyxy_to_xywh
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import list_images
from maskinfer.data.images import image_size
from maskinfer.errors import UsageError
from maskinfer.train.data.parts import read_samples
from maskinfer.train.synthetic.person import CoverKind, face_bounds_xyxy
from maskinfer.train.synthetic.samples import (
    SynthSettings,
    draw_scene,
    random_scene,
    write_samples,
)


def written(folder: Path, count: int, seed: int, size_px: int = 96) -> dict[str, bytes]:
    write_samples(folder, SynthSettings(count=count, seed=seed, size_px=size_px))
    return images_in(folder)


def images_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".csv"}


def test_synth_same_seed_writes_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a", 12, 7) == written(tmp_path / "b", 12, 7)


def test_synth_seeds_differ(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a", 4, 0), written(tmp_path / "b", 4, 1)
    assert set(one.values()).isdisjoint(two.values())


def test_synth_image_does_not_depend_on_count(tmp_path: Path) -> None:
    few, many = written(tmp_path / "a", 3, 7), written(tmp_path / "b", 8, 7)
    assert few.items() <= many.items()
    assert len(many) == 8


def test_synth_names_carry_the_label(tmp_path: Path) -> None:
    written(tmp_path, 6, 3)
    samples, decisions, unlabelled = Dataset(tmp_path).samples("train")
    assert decisions == unlabelled == []
    for index, sample in enumerate(samples):
        scene = random_scene(3, index, 96)
        assert (sample.box_xywh, sample.proper_mask) == (
            scene.face.box_xywh,
            scene.face.proper_mask,
        )
        assert image_size(sample.path) == draw_scene(scene).size


@pytest.mark.parametrize("size_px", [64, 224, 640])
def test_scene_box_is_inside_the_image_and_not_empty(size_px: int) -> None:
    for index in range(300):
        scene = random_scene(11, index, size_px)
        x, y, w, h = scene.face.box_xywh
        width, height = scene.size_wh
        assert max(width, height) == size_px
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        assert min(w, h) >= 3


def test_scene_faces_come_in_many_sizes() -> None:
    scenes = [random_scene(11, index, 224) for index in range(300)]
    heights = np.array([scene.face.box_xywh[3] / min(scene.size_wh) for scene in scenes])
    assert heights.min() < 0.2
    assert heights.max() > 0.6
    assert 0.25 < np.median(heights) < 0.5


def test_scene_labels_are_about_half_true_and_every_kind_occurs() -> None:
    scenes = [random_scene(11, index, 224) for index in range(300)]
    assert 0.35 < np.mean([scene.face.proper_mask for scene in scenes]) < 0.65
    assert {scene.person.cover.kind for scene in scenes} == set(CoverKind)
    for scene in scenes:
        assert scene.face.proper_mask is (scene.person.cover.kind is CoverKind.PROPER)


def test_scene_neighbour_is_right_of_the_labelled_face() -> None:
    scenes = [random_scene(11, index, 224) for index in range(300)]
    pairs = [(scene, scene.neighbour) for scene in scenes if scene.neighbour is not None]
    assert 0.1 < len(pairs) / len(scenes) < 0.25
    for scene, neighbour in pairs:
        x, _, w, _ = scene.face.box_xywh
        bounds = face_bounds_xyxy(neighbour)
        assert bounds[0] > x + 0.5 * w
        assert iou_xywh(scene.face.box_xywh, xyxy_to_xywh(bounds)) < 0.1


def test_write_samples_lists_the_neighbours_faces(tmp_path: Path) -> None:
    write_samples(tmp_path / "train", SynthSettings(count=40, seed=11, size_px=96))
    samples, _ = read_samples(Dataset(tmp_path), "train", "train")
    scenes = [random_scene(11, index, 96) for index in range(40)]
    listed = [sample.others for sample in samples]
    assert listed == [() if s.other_face is None else (s.other_face,) for s in scenes]
    assert 0 < sum(map(len, listed)) < 40


def test_scene_box_holds_the_mask_that_is_drawn() -> None:
    """Taking the mask off changes pixels inside the box only, down to its lower edge."""
    checked = 0
    for index in range(40):
        scene = random_scene(5, index, 160)
        person = scene.person
        if person.cover.kind is not CoverKind.PROPER or person.headwear == "headscarf":
            continue
        bare = replace(person, cover=replace(person.cover, kind=CoverKind.NONE))
        pair = [draw_scene(scene), draw_scene(replace(scene, person=bare))]
        differs = np.abs(np.diff([np.asarray(image, dtype=int) for image in pair], axis=0)) > 40
        ys, xs = np.nonzero(differs[0].any(axis=-1))
        x, y, w, h = scene.face.box_xywh
        # The margin is for the straps, which run to the ears, and the mask's shadow.
        assert x - 0.12 * w <= xs.min()
        assert xs.max() < x + 1.12 * w
        assert y + 0.1 * h < ys.min()
        assert y + 0.8 * h < ys.max() < y + 1.12 * h
        checked += 1
    assert checked >= 5


def test_write_samples_refuses_a_folder_with_images(tmp_path: Path) -> None:
    before = written(tmp_path, 2, 0)
    with pytest.raises(UsageError, match=r"2 of them.*--overwrite"):
        write_samples(tmp_path, SynthSettings(count=1, seed=1, size_px=96))
    assert images_in(tmp_path) == before


def test_write_samples_overwrite_deletes_labelled_images_only(tmp_path: Path) -> None:
    written(tmp_path, 5, 0)
    Image.new("RGB", (8, 8)).save(tmp_path / "holiday.jpg")
    (tmp_path / "notes.txt").write_text("mine")
    write_samples(tmp_path, SynthSettings(count=2, seed=1, size_px=96, overwrite=True))
    assert len(list_images(tmp_path)) == 3
    assert len(Dataset(tmp_path).samples("test").samples) == 2
    assert (tmp_path / "holiday.jpg").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "like", ["000190__[70, 83, 100, 102]__True.jpg", "a__[1, 2, 3, 4]__True.png"]
)
def test_write_samples_overwrite_refuses_images_that_others_labelled(
    tmp_path: Path, like: str
) -> None:
    written(tmp_path, 2, 0)
    Image.new("RGB", (8, 8)).save(tmp_path / like)
    before = images_in(tmp_path)
    with pytest.raises(UsageError, match=r"holds 1 labelled images .* did not draw, the first: "):
        write_samples(tmp_path, SynthSettings(count=1, seed=1, size_px=96, overwrite=True))
    assert images_in(tmp_path) == before


def test_write_samples_overwrite_deletes_nothing_before_the_new_ones_are_there(
    tmp_path: Path,
) -> None:
    before = written(tmp_path, 3, 0)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(
            tmp_path,
            SynthSettings(count=2, seed=1, size_px=96, overwrite=True),
            on_progress=stop,
        )
    after = images_in(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == 4
    write_samples(tmp_path, SynthSettings(count=2, seed=1, size_px=96, overwrite=True))
    assert len(images_in(tmp_path)) == 2


def test_write_samples_leaves_no_half_of_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(self: Image.Image, path: Path, *_: object, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="No space left"):
        write_samples(tmp_path, SynthSettings(count=1, seed=0, size_px=96))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_write_samples_refuses_a_file_for_a_folder(tmp_path: Path, inside: str) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="cannot be made a folder"):
        write_samples(tmp_path / "taken" / inside, SynthSettings(count=1, seed=0, size_px=96))


def test_write_samples_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    settings = SynthSettings(count=3, seed=0, size_px=96)
    write_samples(tmp_path, settings, lambda *progress: seen.append(progress))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_cli_synth_writes_into_a_new_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "my data" / "first try"
    result = CliRunner().invoke(make_app(), ["synth", str(folder), "--count", "3", "--size", "96"])
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"3 images written to {folder}"
    assert len(Dataset(folder).samples("test").samples) == 3


def test_cli_synth_refuses_a_full_folder_without_overwrite(tmp_path: Path) -> None:
    written(tmp_path, 2, 0)
    arguments = ["synth", str(tmp_path), "--count", "1", "--size", "96"]
    refused = CliRunner().invoke(make_app(), arguments)
    assert isinstance(refused.exception, UsageError)
    assert len(list_images(tmp_path)) == 2
    allowed = CliRunner().invoke(make_app(), [*arguments, "--overwrite"])
    assert allowed.exit_code == 0
    assert len(list_images(tmp_path)) == 1


@pytest.mark.parametrize("option", [("--count", "0"), ("--seed", "-1"), ("--size", "10")])
def test_cli_synth_refuses_impossible_numbers(tmp_path: Path, option: tuple[str, str]) -> None:
    result = CliRunner().invoke(make_app(), ["synth", str(tmp_path / "new"), *option])
    assert result.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_write_samples_refuses_a_list_of_other_images(tmp_path: Path) -> None:
    (tmp_path / "other_faces.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"other_faces\.csv: is of other images"):
        write_samples(tmp_path, SynthSettings(count=1, seed=1, size_px=96))
    assert (tmp_path / "other_faces.csv").read_text() == "mine"
