from pathlib import Path

import pytest
from support.tiny_model import draw_photo, write_model

from maskinfer import MaskDetector
from maskinfer.data.labels import Face
from maskinfer.data.side_lists import write_other_faces
from maskinfer.evaluation.comparing import AllFacesComparison
from maskinfer.runtime.model_file import WorkingPoint

SECOND = (44, 44, 16, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten photos whose second face decides; B alone sees it. Two are of proper masks."""
    photos, others = tmp_path / "photos", []
    photos.mkdir()
    for number in range(12):
        proper = number >= 10
        name = f"{number:02}__[16, 8, 24, 32]__True.png"
        draw_photo(second_xywh=SECOND, second_proper=proper).save(photos / name)
        others.append((name, Face(SECOND, proper)))
    write_other_faces(photos, others)
    return photos


def compared(tmp_path: Path, folder: Path, b_score: float = 0.1) -> AllFacesComparison:
    """A model that misses second faces with one that may see them."""
    a = write_model(tmp_path / "a.onnx", all_faces=WorkingPoint(min_score=0.6))
    b = write_model(tmp_path / "b.onnx", all_faces=WorkingPoint(min_score=b_score))
    detector_a, detector_b = (MaskDetector(model, "cpu", face="all") for model in (a, b))
    return AllFacesComparison.of(detector_a, detector_b, folder)


def test_photos_judged_right_are_counted_and_tested(tmp_path: Path, folder: Path) -> None:
    comparison = compared(tmp_path, folder)
    assert [*comparison.calls().values()] == [2, 0, 10, 0]
    assert comparison.p == 2 / 2**10
    assert comparison.verdict().startswith("B is right more often: 10 images against 0")
    figures = {figure.name: figure for figure in comparison.figures}
    accuracy = figures["photos, accuracy"]
    assert (accuracy.a, accuracy.b) == pytest.approx((2 / 12, 1.0))
    balanced = figures["photos, balanced accuracy"]
    assert (balanced.a, balanced.b) == (0.5, 1.0)
    assert balanced.interval is not None
    assert balanced.difference is not None
    assert 0 < balanced.interval.low < balanced.difference < balanced.interval.high < 1
    assert figures["F1 of faces"].difference == pytest.approx(1 - 2 / 3)
    assert figures["AP50"].difference == 0
    assert figures["AP50"].interval is None


def test_equal_models_differ_in_nothing(tmp_path: Path, folder: Path) -> None:
    comparison = compared(tmp_path, folder, 0.6)
    assert all(figure.difference == 0 for figure in comparison.figures)
    known = {figure.name for figure in comparison.figures if figure.interval}
    assert known == {"photos, accuracy"}
    assert comparison.p == 1


def test_one_label_alone_is_compared(tmp_path: Path, folder: Path) -> None:
    for path in folder.glob("1[01]*"):
        path.unlink()
    comparison = compared(tmp_path, folder)
    balanced = next(f for f in comparison.figures if f.name == "photos, balanced accuracy")
    assert (balanced.a, balanced.b, balanced.interval) == (0.0, 1.0, None)
