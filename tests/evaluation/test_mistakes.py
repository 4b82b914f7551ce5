from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.evaluation.mistakes import analyse, quantile_edges

BOX = (16, 8, 24, 32)


def photo(green: int, size_wh: tuple[int, int] = (64, 64)) -> Image.Image:
    """A photo that the tiny model calls proper with probability `green` / 255."""
    pixels = np.array(draw_photo(size_wh, BOX))
    pixels[..., 1] = green
    return Image.fromarray(pixels)


def analysed(folder: Path, model: Path):
    return analyse(evaluate_folder(MaskDetector(model, "cpu"), folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of each kind of call, of different probabilities, and a box beside the face."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, green, label in (
        ("fp sure", 250, False),
        ("fp", 140, False),
        ("fn sure", 4, True),
        ("fn", 120, True),
        ("right sure", 255, True),
        ("right", 130, True),
        ("right too", 100, False),
    ):
        photo(green).save(photos / f"{name}__[16, 8, 24, 32]__{label}.png")
    photo(0).save(photos / "missed__[48, 40, 8, 8]__False.png")
    return photos


def test_cases_are_ranked_worst_first(folder: Path, tiny_model: Path) -> None:
    analysis = analysed(folder, tiny_model)

    def names(cases) -> list[str]:
        return [case.filename.partition("__")[0] for case in cases]

    assert names(analysis.wrong_calls(False)) == ["fp sure", "fp"]
    assert names(analysis.wrong_calls(True)) == ["fn sure", "fn"]
    assert names(analysis.lowest_iou())[0] == "missed"
    assert len(analysis.lowest_iou()) == 8
    assert names(analysis.least_sure()) == ["right", "right too", "missed", "right sure"]
    assert names(analysis.worst()) == ["fn sure", "fp sure", "fp", "fn", "missed"]


def test_box_share_and_brightness_are_those_of_the_labelled_face(
    folder: Path, tiny_model: Path
) -> None:
    cases = {c.filename: c for c in analysed(folder, tiny_model).predictions}
    case = cases["right sure__[16, 8, 24, 32]__True.png"]
    # White but for a blue of 200; the rest of the photo has no red.
    assert case.brightness == pytest.approx(0.299 * 255 + 0.587 * 255 + 0.114 * 200)
    assert case.box_share == pytest.approx(100 * (24 * 32 / 64**2) ** 0.5)
    missed = cases["missed__[48, 40, 8, 8]__False.png"]
    assert missed.brightness == pytest.approx(0.114 * 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_brightness_of_large_turned_jpegs_is_of_the_upright_face(
    tmp_path: Path, tiny_model: Path, orientation: int
) -> None:
    upright = Image.new("L", (1600, 1200), 40)
    upright.paste(220, (800, 600, 1200, 1000))
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what brings the upright one to storage
    stored = upright
    if orientation > 1:
        stored = upright.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = Image.merge("RGB", [stored] * 3)
    rgb.save(tmp_path / "1__[800, 600, 400, 400]__True.jpg", exif=exif, quality=95)
    (case,) = analysed(tmp_path, tiny_model).predictions
    assert case.brightness == pytest.approx(220, abs=1)
    assert case.box_share == pytest.approx(100 * (400 * 400 / (1600 * 1200)) ** 0.5)


def test_a_photo_that_is_gone_has_no_brightness_and_is_in_no_bin(
    folder: Path, tiny_model: Path
) -> None:
    evaluation = evaluate_folder(MaskDetector(tiny_model, "cpu"), folder)
    (folder / "fn__[16, 8, 24, 32]__True.png").unlink()
    analysis = analyse(evaluation)
    assert sum(case.brightness is None for case in analysis.predictions) == 1
    assert sum(group.images for group in analysis.by("brightness")) == 7
    assert sum(group.images for group in analysis.by("box_share")) == 7


def test_bins_say_how_good_the_model_is_in_each(tmp_path: Path, tiny_model: Path) -> None:
    for i in range(20):  # dark faces are called rightly, bright ones wrongly
        photo(i if i < 10 else 200 + i).save(tmp_path / f"{i:02}__[16, 8, 24, 32]__False.png")
    analysis = analysed(tmp_path, tiny_model)
    dark, bright = analysis.by("brightness")
    assert (dark.images, dark.accuracy, dark.mean_iou) == (10, 1.0, 1.0)
    assert (bright.images, bright.accuracy, bright.mean_iou) == (10, 0.0, 1.0)
    (same,) = analysis.by("box_share")
    assert (same.images, same.accuracy) == (20, 0.5)
    facts = analysis.to_dict()
    assert facts["bins"]["brightness"][0]["images"] == 10
    assert facts["bins"]["iou"]["improper"][-1] == 20
    assert set(facts["bins"]["average_precision"]) == {"improper"}
    assert len(facts["images"]) == 20


@given(st.lists(st.floats(0, 255), min_size=1, max_size=120))
def test_edges_are_few_whole_and_around_all_values(values: list[float]) -> None:
    edges = quantile_edges(values)
    assert 2 <= len(edges) <= 6
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= min(values)
    assert max(values) <= edges[-1]
