import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskinfer.data.cleaning import Decision, FaultKind, Mode, clean, find_fault, repair
from maskinfer.data.dataset import Dataset
from maskinfer.data.labels import Label, Sample, format_name

NUMBERS = st.integers(-(10**9) + 1, 10**9 - 1) | st.integers(-50, 150)
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000)) | st.just((1, 1))

# In an image of 100 x 80: the box, the word in its fault, and the box that testing uses.
RULES = {
    "fine": ((10, 20, 30, 40), None, (10, 20, 30, 40)),
    "whole image": ((0, 0, 100, 80), None, (0, 0, 100, 80)),
    "one pixel": ((99, 79, 1, 1), None, (99, 79, 1, 1)),
    "negative x": ((-5, 20, 30, 40), "negative", (0, 20, 25, 40)),
    "negative y": ((10, -5, 30, 40), "negative", (10, 0, 30, 35)),
    "negative width": ((10, 20, -3, 40), "negative", (10, 20, 1, 40)),
    "past the right": ((90, 20, 30, 40), "past", (90, 20, 10, 40)),
    "past the bottom": ((10, 70, 30, 11), "past", (10, 70, 30, 10)),
    "past all": ((-10, -10, 300, 300), "negative", (0, 0, 100, 80)),
    "no width": ((10, 20, 0, 40), "no area", (10, 20, 1, 40)),
    "no height": ((10, 20, 30, 0), "no area", (10, 20, 30, 1)),
    "no width at the border": ((100, 20, 0, 40), "no area", (99, 20, 1, 40)),
    "beyond the image": ((200, 200, 10, 10), "past", (99, 79, 1, 1)),
    "before the image": ((-50, -50, 10, 10), "negative", (0, 0, 1, 1)),
}


@pytest.mark.parametrize(("box", "word", "repaired"), RULES.values(), ids=RULES)
def test_the_rules(box: Any, word: Any, repaired: Any) -> None:
    fault = find_fault(box, (100, 80))

    assert (fault is None) if word is None else (fault is not None and word in fault.reason)
    assert repair(box, (100, 80)) == repaired


@given(BOXES, SIZES)
def test_a_repaired_box_is_inside_and_has_area(box: Any, size_wh: Any) -> None:
    x, y, w, h = repair(box, size_wh)

    assert min(x, y) >= 0
    assert min(w, h) >= 1
    assert x + w <= size_wh[0]
    assert y + h <= size_wh[1]
    assert find_fault((x, y, w, h), size_wh) is None


@given(BOXES, SIZES)
def test_repairing_changes_faulty_boxes_only(box: Any, size_wh: Any) -> None:
    assert (repair(box, size_wh) == box) == (find_fault(box, size_wh) is None)


def write_sample(folder: Path, id_: str, box: tuple[int, int, int, int]) -> str:
    name = format_name(Label(id_, box, True), ".png")
    Image.new("RGB", (100, 80)).save(folder / name)
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (box, _, _) in enumerate(RULES.values()):
        write_sample(tmp_path, f"{number:02d}", box)
    (tmp_path / "99__[1, 2, 3, 4]__True.jpg").write_text("no image")
    return tmp_path


def test_training_drops_what_is_impossible(folder: Path) -> None:
    kept, decisions = Dataset(folder).samples("train")[:2]

    fine = [box for box, fault, _ in RULES.values() if fault is None]
    assert [sample.box_xywh for sample in kept] == fine
    assert len(decisions) == len(RULES) - len(fine) + 1
    assert all(d.action == "dropped" and d.box_xywh is None for d in decisions)
    assert decisions[-1].reason.startswith("unreadable image: ")


def test_testing_repairs_what_is_impossible(folder: Path) -> None:
    kept, decisions = Dataset(folder).samples("test")[:2]

    assert [sample.box_xywh for sample in kept] == [repaired for _, _, repaired in RULES.values()]
    *repairs, last = decisions
    faulty = [repaired for _, fault, repaired in RULES.values() if fault]
    assert [(d.action, d.box_xywh) for d in repairs] == [("repaired", box) for box in faulty]
    assert last.action == "dropped"


def test_every_sample_is_kept_or_dropped_with_a_reason(folder: Path) -> None:
    modes: tuple[Mode, ...] = ("train", "test")
    for mode in modes:
        kept, decisions, _ = Dataset(folder).samples(mode)
        dropped = [d.filename for d in decisions if d.action == "dropped"]
        names = [sample.path.name for sample in kept] + dropped
        assert sorted(names) == sorted(path.name for path in folder.iterdir())
        assert all(len(d.reason.splitlines()) == 1 for d in decisions)


def test_a_decision_names_box_and_image(tmp_path: Path) -> None:
    name = write_sample(tmp_path, "1", (90, 20, 30, 40))

    _, decisions = clean(
        [Sample(tmp_path / name, (90, 20, 30, 40), True)], "train", Dataset(tmp_path).name_of
    )

    reason = "box [90, 20, 30, 40] reaches past the image, 100 x 80"
    assert decisions == [Decision(name, "dropped", FaultKind.OUTSIDE, reason)]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_decision_gives_the_path_from_the_data_set(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    name = write_sample(folder, "1", (90, 20, 30, 40))

    for root, filename in ((tmp_path, rf"caf\xe9/{name}"), (folder, name)):
        (decision,) = Dataset(root).samples("train").decisions
        assert decision.filename == filename


def test_boxes_are_held_against_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "1__[70, 0, 20, 90]__True.jpg"
    Image.new("RGB", (100, 80)).save(path, exif=exif)  # upright: 80 x 100

    kept, decisions = Dataset(tmp_path).samples("test")[:2]

    assert kept[0].box_xywh == (70, 0, 10, 90)
    assert "80 x 100" in decisions[0].reason


def test_no_samples_are_no_decisions() -> None:
    assert clean([], "train", str) == ([], [])
