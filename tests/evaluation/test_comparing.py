from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.tiny_model import draw_photo, write_model

from maskinfer import MaskDetector
from maskinfer.data.geometry import Geometry
from maskinfer.errors import DatasetError
from maskinfer.evaluation.comparing import OneFaceComparison, iou_difference
from maskinfer.runtime.model_file import WorkingPoint


def photo(green: int = 255, box_xywh: tuple[int, int, int, int] = (16, 8, 24, 32)) -> Image.Image:
    """A photo that the tiny model calls proper with probability `green` / 255."""
    pixels = np.array(draw_photo(box_xywh=box_xywh))
    pixels[..., 1] = green
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    return photos


@pytest.fixture
def compared(tmp_path: Path, folder: Path):
    """Compare a model of threshold 0.5 with one of 0.8 on the folder's photos."""
    a = write_model(tmp_path / "a.onnx", one_face=WorkingPoint(threshold=0.5))
    b = write_model(tmp_path / "b.onnx", one_face=WorkingPoint(threshold=0.8))

    def compare(**changes) -> OneFaceComparison:
        second = write_model(tmp_path / "c.onnx", **changes) if changes else b
        return OneFaceComparison.of(MaskDetector(a, "cpu"), MaskDetector(second, "cpu"), folder)

    return compare


def put(folder: Path, green: int, label: bool, count: int, word: str) -> None:
    """Photos of one probability; 160 is proper to A alone."""
    for i in range(count):
        photo(green).save(folder / f"{word} {i:02}__[16, 8, 24, 32]__{label}.png")


def test_calls_are_counted_and_the_better_model_named(folder: Path, compared: Any) -> None:
    put(folder, 160, True, 3, "a right")
    put(folder, 160, False, 12, "b right")
    put(folder, 255, True, 2, "both right")
    put(folder, 255, False, 1, "both wrong")
    comparison = compared()
    assert [*comparison.calls().values()] == [2, 3, 12, 1]
    assert comparison.p == 0.03515625
    assert comparison.verdict() == "B is right more often: 12 images against 3, p = 0.035."
    accuracy = next(figure for figure in comparison.figures if figure.name == "accuracy")
    assert accuracy.difference == pytest.approx((14 - 5) / 18)
    assert accuracy.interval is not None
    assert 0 < accuracy.interval.low < accuracy.difference < accuracy.interval.high < 1
    iou = next(figure for figure in comparison.figures if figure.name == "mean IoU")
    assert (iou.difference, iou.interval) == (0.0, None)
    assert comparison.box_differences() == []


@pytest.mark.parametrize(
    ("a_right", "b_right", "words"),
    [
        pytest.param(2, 1, "can be told from these 4 images (p = 1).", id="chance"),
        pytest.param(0, 0, "No difference in accuracy on this image: ", id="one-image"),
        pytest.param(12, 0, "A is right more often: 12 images against 0, p < 0.001.", id="a"),
    ],
)
def test_verdict_in_words(
    folder: Path, compared: Any, a_right: int, b_right: int, words: str
) -> None:
    put(folder, 160, True, a_right, "a right")
    put(folder, 160, False, b_right, "b right")
    put(folder, 255, True, 1, "both right")
    assert words in compared().verdict()


def test_a_coarser_model_differs_in_boxes(folder: Path, compared: Any) -> None:
    photo(box_xywh=(18, 10, 20, 20)).save(folder / "1__[18, 10, 20, 20]__True.png")
    photo().save(folder / "2__[16, 8, 24, 32]__True.png")
    photo(box_xywh=(30, 30, 8, 8)).save(folder / "3__[30, 30, 8, 8]__True.png")
    comparison = compared(geometry=Geometry.letterbox(16), one_face=WorkingPoint(threshold=0.5))
    names = [pair.a.filename[0] for pair in comparison.box_differences()]
    assert names == ["3", "1"]
    assert iou_difference(comparison.box_differences()[0]) < 0
    iou = next(figure for figure in comparison.figures if figure.name == "mean IoU")
    assert iou.interval is not None
    assert -0.6 < iou.interval.low < iou.difference < iou.interval.high <= 0


def test_images_that_one_model_cannot_measure_are_left_out_of_both(
    folder: Path, compared: Any
) -> None:
    put(folder, 255, True, 2, "fine")
    # So small that no red is left of it on a canvas of four pixels.
    narrow = draw_photo((64, 64), (16, 8, 2, 2))
    narrow.save(folder / "narrow__[16, 8, 2, 2]__True.png")
    (folder / "broken__[1, 1, 2, 2]__True.png").write_text("not an image")
    comparison = compared(geometry=Geometry.letterbox(4), one_face=WorkingPoint(threshold=0.5))
    assert len(comparison.pairs) == 2
    assert comparison.only_a == ["narrow__[16, 8, 2, 2]__True.png"]
    assert comparison.only_b == []
    assert [metrics.images for metrics in comparison.metrics] == [2, 2]
    assert comparison.failed == 2


def test_no_image_in_common_is_an_error(tmp_path: Path, folder: Path) -> None:
    """One model cannot see small faces, the other none at the border."""
    draw_photo((64, 64), (32, 32, 2, 2)).save(folder / "small__[32, 32, 2, 2]__True.png")
    draw_photo((64, 64), (0, 0, 16, 16)).save(folder / "border__[0, 0, 16, 16]__True.png")
    coarse = write_model(tmp_path / "coarse.onnx", geometry=Geometry.letterbox(4))
    middle = write_model(tmp_path / "middle.onnx", geometry=Geometry("center_crop", 32, 64))
    with pytest.raises(DatasetError, match="no image that both models could measure"):
        OneFaceComparison.of(MaskDetector(coarse, "cpu"), MaskDetector(middle, "cpu"), folder)


def test_a_model_and_itself_are_equal(folder: Path, compared: Any) -> None:
    put(folder, 160, True, 3, "a")
    put(folder, 30, True, 2, "b")
    comparison = compared(one_face=WorkingPoint(threshold=0.5))
    assert comparison.p == 1
    assert all(figure.difference == 0 for figure in comparison.figures)
    known = {figure.name: figure.interval for figure in comparison.figures if figure.interval}
    assert {name: low < 0 < high for name, (low, high) in known.items()} == {"accuracy": True}
    assert comparison.by_call["only A right"] == comparison.by_call["only B right"] == []
    assert comparison.box_differences() == []
