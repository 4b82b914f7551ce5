import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from support.cli import RunCli
from support.tiny_model import draw_photo

from maskinfer.curation.exploration import Exploration
from maskinfer.curation.explored_split import Colors, ExploredSplit
from maskinfer.curation.exploring import explore
from maskinfer.data.cleaning import find_fault
from maskinfer.data.labels import Label, format_name, parse_name
from maskinfer.errors import DatasetError, UsageError
from maskinfer.inference.detector import MaskDetector
from maskinfer.runtime.default_model import shipped_model
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

SAMPLES = Path(__file__).parents[2] / "sample_images"


def rename(path: Path, **changes: object) -> Path:
    """Give an image another label."""
    label = parse_name(path.name)
    values = {"id": label.id, "box_xywh": label.box_xywh, "proper_mask": label.proper_mask}
    return path.rename(path.with_name(format_name(Label(**{**values, **changes}), path.suffix)))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[str]]]:
    """A drawn data set, and the names of the images with each fault that was put into it."""
    data = tmp_path_factory.mktemp("planted")
    write_samples(data / "train", SynthSettings(60, 91, 128))
    # The model that ships is right about all of these, so it contradicts each turned label.
    shutil.copytree(SAMPLES / "test", data / "test")
    train = sorted((data / "train").glob("*.jpg"))
    test = sorted((data / "test").glob("*.jpg"))
    faults: dict[str, set[str]] = {}

    def plant(fault: str, path: Path) -> Path:
        faults.setdefault(fault, set()).add(path.relative_to(data).as_posix())
        return path

    plant("negative", rename(train[0], box_xywh=(-5, 3, 30, 30)))
    plant("negative", rename(train[1], box_xywh=(5, 3, -30, 30)))
    plant("negative", rename(test[0], box_xywh=(-1, -1, 40, 40)))
    plant("zero", rename(train[2], box_xywh=(4, 4, 0, 12)))
    plant("zero", rename(test[1], box_xywh=(9, 9, 12, 0)))
    plant("past", rename(train[3], box_xywh=(60, 60, 500, 40)))
    plant("past", rename(test[2], box_xywh=(100, 10, 20, 900)))
    for path in test[10:18]:
        turned = rename(path, proper_mask=not parse_name(path.name).proper_mask)
        plant("wrong label", turned)
    # Copies: the same bytes within a split, across splits, and saved anew across splits.
    exact = data / "train" / f"copy{train[5].name}"
    plant("exact within", Path(shutil.copy(train[5], exact)))
    across = data / "test" / f"copy{train[6].name}"
    plant("exact across", Path(shutil.copy(train[6], across)))
    with Image.open(test[20]) as image:
        near = data / "train" / f"again{test[20].name}"
        image.save(near, quality=40)
    plant("near across", near)
    turned = data / "train" / f"copy{train[7].name}"
    turned = rename(Path(shutil.copy(train[7], turned)), proper_mask="False" in train[7].name)
    plant("contradicting copy", turned)
    broken = data / "train" / "900000__[1, 1, 9, 9]__True.jpg"
    broken.write_bytes(train[8].read_bytes()[:900])
    plant("unreadable", broken)
    plant("unlabelled", Path(shutil.copy(train[9], data / "test" / "holiday.jpg")))
    return data, faults


def test_every_planted_fault_is_found(planted: tuple[Path, dict[str, set[str]]]) -> None:
    data, faults = planted
    exploration = explore(data, MaskDetector(shipped_model(), "cpu"))
    boxes = {box.filename: box for split in exploration.splits.values() for box in split.impossible}
    words = {"negative": "negative value", "zero": "has no area", "past": "reaches past"}
    for fault, word in words.items():
        assert faults[fault] <= {name for name, box in boxes.items() if word in box.reason}
    assert set(boxes) == faults["negative"] | faults["zero"] | faults["past"]
    assert {box.in_training for box in boxes.values()} == {"dropped"}
    zero = boxes[next(iter(faults["zero"]))]
    assert zero.in_testing.startswith("grown to [")

    copies = {name: group for group in exploration.copies for name in group.filenames}
    (name,) = faults["exact within"]
    assert (copies[name].kind, copies[name].across) == ("exact", False)
    (name,) = faults["exact across"]
    assert (copies[name].kind, copies[name].across) == ("exact", True)
    (name,) = faults["near across"]
    assert (copies[name].kind, copies[name].across) == ("near", True)
    (name,) = faults["contradicting copy"]
    assert copies[name].contradiction == "mask"
    assert len(exploration.copies) == 5  # holiday.jpg shows a photo of train/, too

    doubted = {doubt.filename for doubt in exploration.doubted}
    assert faults["wrong label"] <= doubted
    assert {f.filename for s in exploration.splits.values() for f in s.unreadable} == faults[
        "unreadable"
    ]
    assert {f.filename for s in exploration.splits.values() for f in s.unlabelled} == faults[
        "unlabelled"
    ]

    warnings = "\n".join(exploration.warnings())
    assert "3 photos are in more than one split: 3 of test/ are known" in warnings
    assert "4 boxes are impossible in train/; dropped when training" in warnings
    assert "3 boxes are impossible in test/; repaired" in warnings
    assert "labels contradict each other on copies of 1 photo" in warnings
    facts = json.loads(json.dumps(exploration.to_dict(), allow_nan=False))
    assert facts["splits"]["train"]["images"] == len(exploration.splits["train"].filenames)


def test_clean_data_raises_no_alarm(tmp_path: Path) -> None:
    write_samples(tmp_path / "train", SynthSettings(40, 11, 96))
    write_samples(tmp_path / "test", SynthSettings(40, 12, 96))
    exploration = explore(tmp_path)
    assert [*exploration.warnings()] == []
    assert exploration.copies == []
    assert exploration.model is None


def test_counts_sizes_and_colours_are_those_of_the_images(tmp_path: Path) -> None:
    for name, value, size in (("a", 0, (40, 20)), ("b", 255, (20, 40))):
        image = Image.new("RGB", size, (value, 128, 10))
        image.save(tmp_path / f"{name}__[2, 4, 10, 8]__True.png")
    split = explore(tmp_path).splits[tmp_path.name]
    assert split.filenames == ["a__[2, 4, 10, 8]__True.png", "b__[2, 4, 10, 8]__True.png"]
    assert split.sizes_wh.tolist() == [[40, 20], [20, 40]]
    assert (split.count(True), split.count(False)) == (2, 0)
    assert split.colors is not None
    assert split.colors.mean.tolist() == pytest.approx([127.5, 128, 10])
    assert split.colors.std.tolist() == pytest.approx([127.5, 0, 0])
    assert split.colors.mean_error[0] == pytest.approx(127.5)
    assert split.relative_boxes().tolist() == [[0.05, 0.2, 0.25, 0.4], [0.1, 0.1, 0.5, 0.2]]
    assert split.coverage().max() == 1.0
    assert split.coverage()[0, 0] == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda i: ImageEnhance.Brightness(i).enhance(0.6), "mean colour", id="dark"),
        pytest.param(lambda i: ImageEnhance.Contrast(i).enhance(0.4), "contrast", id="flat"),
    ],
)
def test_test_images_of_other_colours_are_warned_of(
    tmp_path: Path, change: object, words: str
) -> None:
    write_samples(tmp_path / "train", SynthSettings(40, 11, 96))
    write_samples(tmp_path / "test", SynthSettings(40, 12, 96))
    for path in (tmp_path / "test").glob("*.jpg"):
        with Image.open(path) as image:
            change(image.convert("RGB")).save(path)  # type: ignore[operator]
    assert any(words in warning for warning in explore(tmp_path).warnings())


def split_of(name: str, photos: int, mean: float, std: float, error: float) -> ExploredSplit:
    """A split whose photos have these colours in all channels."""
    colors = Colors(*(np.full(3, value) for value in (mean, std, error)))
    none = np.zeros(photos, dtype=bool)
    boxes = np.zeros((photos, 4), dtype=np.int64)
    names = [f"{name}/{i}.jpg" for i in range(photos)]
    return ExploredSplit(
        *(name, Path(name), names, boxes[:, 2:], none, boxes, none, colors, [], [], []),
        boxes_beside=np.zeros((0, 8)),
    )


@pytest.mark.parametrize(
    ("photos", "mean", "std", "error", "words"),
    [
        pytest.param(100, 100, 60, 1, [], id="alike"),
        pytest.param(100, 104, 69, 1, [], id="hardly apart"),
        pytest.param(100, 106, 60, 1, ["mean colour"], id="mean"),
        pytest.param(100, 106, 60, 2, [], id="mean by chance"),
        pytest.param(100, 100, 71, 1, ["contrast"], id="contrast"),
        pytest.param(100, 120, 40, 1, ["mean colour", "contrast"], id="both"),
        pytest.param(19, 100, 71, 1, [], id="contrast of few photos"),
    ],
)
def test_colours_are_warned_of_from_a_threshold_on(
    photos: int, mean: float, std: float, error: float, words: list[str]
) -> None:
    splits = {
        "train": split_of("train", 100, 100, 60, 1),
        "test": split_of("test", photos, mean, std, error),
    }
    warnings = Exploration(Path("data"), splits, [], [], None).warnings()
    warnings = [warning for warning in warnings if "of 255" in warning]
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_a_rare_label_and_a_missing_split_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for index in range(30):
        photo = draw_photo(blue=120 + index)
        photo.save(tmp_path / "train" / f"{index}__[16, 8, 24, 32]__{index > 0}.png")
    warnings = "\n".join(explore(tmp_path).warnings())
    assert "only 1 of 30 masks in train/ are labelled as improperly worn" in warnings
    assert "there is no test/" in warnings


def test_progress_counts_every_file(planted: tuple[Path, dict[str, set[str]]]) -> None:
    told: list[tuple[int, int]] = []
    explore(planted[0], on_progress=lambda done, total: told.append((done, total)))
    assert told == [(i, len(told)) for i in range(1, len(told) + 1)]
    assert len(told) == sum(1 for _ in planted[0].rglob("*.jpg"))


def test_nothing_to_explore_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        explore(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no image in it that can be read"):
        explore(tmp_path)
    (tmp_path / "a.jpg").write_text("no image")
    with pytest.raises(DatasetError, match="the first of 1: not an image"):
        explore(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_that_are_no_text_are_printable_in_the_facts(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff__[16, 8, 0, 32]__True.png")
    draw_photo().save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    facts = explore(tmp_path).to_dict()
    json.dumps(facts).encode()
    (box,) = facts["splits"][tmp_path.name]["impossible_boxes"]
    assert box["filename"] == r"\xff__[16, 8, 0, 32]__True.png"


def test_plain_images_are_copies_only_where_they_have_one_colour(tmp_path: Path) -> None:
    colors = {"a": "white", "b": "black", "c": "grey", "d": "red", "e": "grey"}
    for name, color in colors.items():
        Image.new("RGB", (40, 30 + ord(name)), color).save(tmp_path / f"{name}.png")
    (group,) = explore(tmp_path).copies
    assert group.filenames == ("c.png", "e.png")


def test_copies_with_the_same_impossible_box_do_not_contradict_each_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_photo().save(tmp_path / f"{name}__[5, 5, 0, 9]__True.png")
    (group,) = explore(tmp_path).copies
    assert (group.kind, group.contradiction) == ("exact", None)
    draw_photo().save(tmp_path / "c__[40, 40, 9, 9]__True.png")
    assert explore(tmp_path).copies[0].contradiction == "box"


def test_of_single_photos_no_colours_are_compared(tmp_path: Path) -> None:
    for split, color in (("train", "white"), ("test", "navy")):
        (tmp_path / split).mkdir()
        Image.new("RGB", (64, 64), color).save(tmp_path / split / "1__[1, 1, 9, 9]__True.png")
    exploration = explore(tmp_path)
    assert not any("colour" in warning for warning in exploration.warnings())
    json.dumps(exploration.to_dict(), allow_nan=False)


def test_what_is_not_looked_at_is_said(tmp_path: Path) -> None:
    for folder in ("train", "test", "val"):
        (tmp_path / folder).mkdir()
    draw_photo(blue=130).save(tmp_path / "train" / "1__[16, 8, 24, 32]__True.png")
    draw_photo(blue=140).save(tmp_path / "val" / "2__[16, 8, 24, 32]__True.png")
    draw_photo(blue=150).save(tmp_path / "3.png")
    exploration = explore(tmp_path)
    assert exploration.outside == 2
    warnings = "\n".join(exploration.warnings())
    assert "2 images are outside of train/ and test/" in warnings
    assert "no image in test/ has a label" in warnings


def test_possible_boxes_are_those_without_a_fault(tmp_path: Path) -> None:
    boxes = [(0, 0, 64, 64), (1, 1, 64, 9), (-1, 0, 5, 5), (3, 3, 0, 5), (60, 60, 4, 4)]
    boxes += [(60, 60, 4, 5), (999_999_999, 0, 1, 1)]
    for index, box in enumerate(boxes):
        photo = draw_photo(blue=120 + index)
        photo.save(tmp_path / format_name(Label(str(index), box, True), ".png"))
    (split,) = explore(tmp_path).splits.values()
    expected = [find_fault(box, (64, 64)) is None for box in boxes]
    assert split.possible().tolist() == expected
    assert len(split.impossible) == expected.count(False)


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_folder_whose_name_is_no_text_is_explored(tmp_path: Path, run_cli: RunCli) -> None:
    folder = tmp_path / os.fsdecode(b"\xff[bold]")
    folder.mkdir()
    draw_photo().save(folder / "1__[16, 8, 24, 32]__True.png")
    done = run_cli("explore", folder, "--no-model", "--out", tmp_path / "r")
    assert done.code == 0
    assert r"\xff[bold]" in done.stdout
