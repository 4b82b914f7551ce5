from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskinfer.data.folders import Failure
from maskinfer.data.images import MAX_PIXELS
from maskinfer.errors import MaskinferError
from maskinfer.inference.drawing import annotate
from maskinfer.inference.results import Row


def row(name: str, box_xywh: tuple[int, int, int, int], *, proper: bool = True) -> Row:
    return Row(name, box_xywh, proper, 0.75)


def draw(folder: Path, prediction: Row, size_wh: tuple[int, int] = (200, 160)) -> np.ndarray:
    path = folder / prediction.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size_wh, "black").save(path, "PNG")
    assert annotate(folder.joinpath, folder / "out", MAX_PIXELS, prediction) == prediction
    (drawn,) = (path for path in (folder / "out").rglob("*") if path.is_file())
    with Image.open(drawn) as image:
        assert (image.format, image.size) == ("JPEG", size_wh)
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("proper", [True, False])
def test_the_box_is_outlined_in_the_colour_of_the_word(tmp_path: Path, proper: bool) -> None:
    pixels = draw(tmp_path, row("a.png", (60, 50, 80, 90), proper=proper))
    red, _, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    marked = (blue if proper else red) > 100
    for y, x in ((50, 100), (139, 100), (95, 60), (95, 139)):
        assert marked[y, x]
    assert not marked[60:130, 70:130].any()  # inside, the photo is left as it is
    assert ((red > 100) == (blue > 100))[50:140, 60].sum() == 0


@pytest.mark.parametrize(
    "box_xywh",
    [(0, 0, 200, 160), (199, 159, 1, 1), (0, 0, 1, 1), (150, 0, 50, 20)],
    ids=["all of it", "last pixel", "first pixel", "corner"],
)
def test_boxes_at_the_border_are_drawn_too(
    tmp_path: Path, box_xywh: tuple[int, int, int, int]
) -> None:
    assert draw(tmp_path, row("a.png", box_xywh)).max() > 100


@pytest.mark.parametrize("size_wh", [(1, 1), (3000, 4)])
def test_photos_of_any_size_are_drawn_on(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    draw(tmp_path, row("a.png", (0, 0, 1, 1)), size_wh)


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("a.jpg", "a.jpg"),
        ("b/a.JPEG", "b/a.JPEG"),
        ("a.png", "a.png.jpg"),
        ("b/../../a.jpg", "b/__/__/a.jpg"),
    ],
)
def test_photos_keep_their_names_and_stay_in_the_folder(
    tmp_path: Path, name: str, saved: str
) -> None:
    folder = tmp_path / "x" / "y"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "b").mkdir(exist_ok=True)
    Image.new("RGB", (20, 20)).save(path)
    annotate(folder.joinpath, folder / "out", MAX_PIXELS, row(name, (0, 0, 5, 5)))
    assert (folder / "out" / saved).is_file()


def test_a_photo_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    failure = annotate(
        tmp_path.joinpath, tmp_path / "out", MAX_PIXELS, row("gone.jpg", (0, 0, 1, 1))
    )
    assert isinstance(failure, Failure)
    assert "cannot be drawn on, " in failure.error
    assert annotate(tmp_path.joinpath, tmp_path / "out", MAX_PIXELS, failure) == failure


def test_long_names_are_drawn_as_long_as_they_fit(tmp_path: Path) -> None:
    fits, too_long = f"{'x' * 247}.png", f"{'x' * 251}.png"
    for name in (fits, too_long):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    prediction = row(fits, (0, 0, 5, 5))
    assert annotate(tmp_path.joinpath, tmp_path / "out", MAX_PIXELS, prediction) == prediction
    failure = annotate(tmp_path.joinpath, tmp_path / "out", MAX_PIXELS, row(too_long, (0, 0, 5, 5)))
    assert failure == Failure(too_long, "cannot be drawn on, File name too long")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{fits}.jpg"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "out").touch()
    with pytest.raises(MaskinferError, match=r"out/a\.png\.jpg: cannot be written"):
        annotate(tmp_path.joinpath, tmp_path / "out", MAX_PIXELS, row("a.png", (0, 0, 1, 1)))
