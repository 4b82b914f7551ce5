"""Warnings about the labels of a split as a whole."""

from pathlib import Path

import numpy as np
import pytest

from maskinfer.curation.exploration import label_warnings, share_warning, shift_warning
from maskinfer.curation.explored_split import ExploredSplit
from maskinfer.curation.exploring import explore
from maskinfer.data.labels import Label, format_name, parse_name
from maskinfer.inference.detector import MaskDetector
from maskinfer.train.synthetic.samples import SynthSettings, write_samples


def _split(
    proper: int,
    improper: int,
    box: tuple[int, int, int, int] = (10, 10, 30, 30),
    name: str = "train",
) -> ExploredSplit:
    count = proper + improper
    return ExploredSplit(
        name,
        Path(name),
        [f"{name}/{index}.jpg" for index in range(count)],
        sizes_wh=np.full((count, 2), 100),
        labelled=np.ones(count, dtype=bool),
        boxes_xywh=np.tile(box, (count, 1)),
        proper_mask=np.arange(count) < proper,
        colors=None,
        unreadable=[],
        unlabelled=[],
        impossible=[],
        boxes_beside=np.zeros((0, 8)),
    )


def test_one_label_alone_is_warned_of() -> None:
    [warning] = label_warnings(_split(9, 0))
    assert warning.startswith("no mask in train/ is labelled as improperly worn")
    assert list(label_warnings(_split(9, 5))) == []


def test_boxes_that_fill_most_images_are_warned_of() -> None:
    [warning] = label_warnings(_split(9, 9, (1, 0, 97, 100)))
    assert warning.startswith("18 of 18 boxes in train/ fill their image")


@pytest.mark.parametrize(
    ("test", "warned"),
    [
        pytest.param((50, 50), True, id="other shares"),
        pytest.param((75, 25), False, id="hardly other ones"),
        pytest.param((5, 5), False, id="too few"),
    ],
)
def test_shares_that_differ_between_splits_are_warned_of(
    test: tuple[int, int], warned: bool
) -> None:
    warning = share_warning(_split(80, 20), _split(*test, name="test"))
    assert (warning is not None) is warned
    assert warning is None or warning.startswith("80% of the masks in train/")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param(lambda x, y, w, h: (x + w // 2, y + h // 2, w, h), "left edge +", id="centre"),
        pytest.param(lambda x, y, w, h: (x, y, 2 * w, 2 * h), "width +1", id="twice as large"),
        pytest.param(lambda x, y, w, h: (x, y, w, h), "", id="as drawn"),
    ],
)
def test_boxes_that_are_off_in_the_same_way_are_warned_of(
    tmp_path: Path, wrong: object, words: str
) -> None:
    write_samples(tmp_path, SynthSettings(40, 21, 128))
    for path in list(tmp_path.glob("*.jpg")):
        label = parse_name(path.name)
        box = wrong(*label.box_xywh)  # type: ignore[operator]
        path.rename(tmp_path / format_name(Label(label.id, box, label.proper_mask)))
    exploration = explore(tmp_path, MaskDetector(provider="cpu"))
    [split] = exploration.splits.values()
    warning = shift_warning(split)
    assert (words in warning) if words and warning else warning is None and not words
    assert warning is None or warning in exploration.warnings()
