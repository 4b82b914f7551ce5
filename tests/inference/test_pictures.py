from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.predictions import predicted

from maskinfer.data.folders import Failure
from maskinfer.data.images import MAX_PIXELS, ImageSource
from maskinfer.data.labels import BoxXywh
from maskinfer.data.sources import FolderSource
from maskinfer.errors import MaskinferError
from maskinfer.inference.choosing import Kind
from maskinfer.inference.pictures import Pictures
from maskinfer.inference.results import ImagePrediction, Prediction, Result


def row(name: str, box_xywh: BoxXywh) -> ImagePrediction:
    return predicted(name, box_xywh, True, 0.75)


def annotate(folder: Path, result: Result, *only: Kind) -> Result:
    return Pictures(folder / "out", None, only, 0.5, MAX_PIXELS).save(FolderSource(folder), result)


def crop(folder: Path, result: Result, *only: Kind) -> Result:
    return Pictures(None, folder / "out", only, 0.5, MAX_PIXELS).save(FolderSource(folder), result)


def saved(folder: Path) -> list[str]:
    out = folder / "out"
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_the_drawn_photo_is_a_jpeg_of_its_size(tmp_path: Path) -> None:
    Image.new("RGB", (200, 160)).save(tmp_path / "a.png")
    prediction = row("a.png", (60, 50, 80, 90))
    assert annotate(tmp_path, prediction) == prediction
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (200, 160))
        assert np.asarray(image).max() > 100


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("a.jpg", "a.jpg"),
        ("b/a.JPEG", "b/a.JPEG"),
        ("a.png", "a.jpg"),
        ("b/../../a.jpg", "b/__/__/a.jpg"),
    ],
)
def test_photos_keep_their_names_and_stay_in_the_folder(
    tmp_path: Path, name: str, drawn: str
) -> None:
    folder = tmp_path / "x" / "y"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "b").mkdir(exist_ok=True)
    Image.new("RGB", (20, 20)).save(path)
    annotate(folder, row(name, (0, 0, 5, 5)))
    assert saved(folder) == [drawn]


def test_a_photo_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    failure = annotate(tmp_path, row("gone.jpg", (0, 0, 1, 1)))
    assert isinstance(failure, Failure)
    assert "cannot be drawn on, " in failure.error
    assert annotate(tmp_path, failure) == failure


def test_a_longer_name_is_used_where_two_pictures_would_have_the_same(tmp_path: Path) -> None:
    photos = ["a.jpg", "a.png", "a.txt", "b.bmp", "b.gif", "c.png", "c.txt", "sub/c.png"]
    photos += ["d.png", "d.webp", "d.png.jpg"]
    (tmp_path / "sub").mkdir()
    for name in photos:
        Image.new("RGB", (20, 20)).save(tmp_path / name, "PNG")
    for name in photos:
        if not name.endswith(".txt"):
            annotate(tmp_path, row(name, (0, 0, 5, 5)))
    longest = f"d.png.{sha256(b'd.png').hexdigest()[:8]}"
    assert saved(tmp_path) == sorted(
        f"{name}.jpg"
        for name in ("a", "a.png", "b.bmp", "b.gif", "c", "d.png", "d.webp", "sub/c", longest)
    )


@pytest.mark.parametrize("letter", ["x", "顔"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_names_that_are_too_long_are_shortened_and_stay_distinct(
    tmp_path: Path, letter: str, suffix: str
) -> None:
    length = (255 - len("10" + suffix)) // len(letter.encode())
    names = [f"{letter * length}{number}{suffix}" for number in (10, 11)]
    for name in names:
        Image.new("RGB", (20, 20)).save(tmp_path / name)
        assert isinstance(crop(tmp_path, row(name, (0, 0, 5, 5))), ImagePrediction)
        assert isinstance(annotate(tmp_path, row(name, (0, 0, 5, 5))), ImagePrediction)
    pictures = saved(tmp_path)
    assert len(pictures) == 4
    assert all(name.startswith(letter * 70) and name.endswith(".jpg") for name in pictures)
    assert sum(name.endswith("-1.jpg") for name in pictures) == 2


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "out").touch()
    with pytest.raises(MaskinferError, match=r"out/a\.jpg: cannot be written"):
        annotate(tmp_path, row("a.png", (0, 0, 1, 1)))


FACES = {
    "sure": Prediction((10, 10, 20, 20), True, 0.95, 0.9),
    "unsure": Prediction((40, 10, 20, 20), True, 0.65, 0.8),
    "unsure, not proper": Prediction((70, 10, 20, 20), False, 0.35, 0.7),
    "not proper": Prediction((10, 40, 20, 20), False, 0.05, 0.6),
}


@pytest.mark.parametrize(
    ("only", "photos", "crops"),
    [
        ((), {"all", "sure", "unsure", "none"}, {1, 2, 3, 4}),
        ((Kind.NOT_PROPER,), {"all"}, {3, 4}),
        ((Kind.UNSURE,), {"all", "unsure"}, {2, 3}),
        ((Kind.NO_FACE,), {"none"}, set()),
        ((Kind.NO_FACE, Kind.NOT_PROPER), {"all", "none"}, {3, 4}),
    ],
)
def test_only_some_photos_are_drawn_and_some_faces_saved(
    tmp_path: Path, only: tuple[Kind, ...], photos: set[str], crops: set[int]
) -> None:
    faces = {
        "all": tuple(FACES.values()),
        "sure": (FACES["sure"],),
        "unsure": (FACES["sure"], FACES["unsure"]),
        "none": (),
    }
    for name, some in faces.items():
        Image.new("RGB", (100, 80)).save(tmp_path / f"{name}.jpg")
        annotate(tmp_path, ImagePrediction(f"{name}.jpg", some), *only)
    assert saved(tmp_path) == sorted(f"{name}.jpg" for name in photos)
    folder = tmp_path / "more"
    folder.mkdir()
    Image.new("RGB", (100, 80)).save(folder / "a.jpg")
    crop(folder, ImagePrediction("a.jpg", faces["all"]), *only)
    assert saved(folder) == sorted(f"a-{number}.jpg" for number in crops)


@pytest.mark.parametrize(
    ("box_xywh", "size_wh"),
    [((40, 30, 10, 20), (18, 28)), ((0, 0, 10, 10), (12, 12)), ((95, 75, 5, 5), (6, 6))],
    ids=["inside", "first corner", "last corner"],
)
def test_a_saved_face_has_a_margin_inside_the_photo(
    tmp_path: Path, box_xywh: BoxXywh, size_wh: tuple[int, int]
) -> None:
    pixels = np.zeros((80, 100, 3), np.uint8)
    x, y, w, h = box_xywh
    pixels[y : y + h, x : x + w] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    crop(tmp_path, row("a.png", box_xywh))
    with Image.open(tmp_path / "out" / "a-1.jpg") as face:
        assert (face.format, face.size) == ("JPEG", size_wh)
        assert (np.asarray(face.convert("L")) > 128).sum() == pytest.approx(w * h, rel=0.1)


def test_nothing_is_drawn_on_a_saved_face(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "a.jpg")
    pictures = Pictures(tmp_path / "drawn", tmp_path / "out", (), 0.5, MAX_PIXELS)
    pictures.save(FolderSource(tmp_path), row("a.jpg", (10, 20, 30, 30)))
    with Image.open(tmp_path / "out" / "a-1.jpg") as face:
        assert np.asarray(face).max() == 0
    with Image.open(tmp_path / "drawn" / "a.jpg") as photo:
        assert np.asarray(photo).max() > 100


class _OnePhoto(FolderSource):
    def image(self, name: str) -> ImageSource:
        return self.folder / "photo.png"


@pytest.mark.parametrize(
    ("name", "face"),
    [
        ("a.jpg", "a-1.jpg"),
        ("b/a.JPEG", "b/a-1.JPEG"),
        ("a.png", "a-1.jpg"),
        ("b/../../a.jpg", "b/__/__/a-1.jpg"),
        ("/b/a.jpg", "b/a-1.jpg"),
    ],
)
def test_faces_have_their_photos_names_and_stay_in_the_folder(
    tmp_path: Path, name: str, face: str
) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "photo.png")
    pictures = Pictures(None, tmp_path / "out", (), 0.5, MAX_PIXELS)
    pictures.save(_OnePhoto(tmp_path), row(name, (0, 0, 5, 5)))
    assert saved(tmp_path) == [face]


def test_a_face_is_never_saved_over_a_photo(tmp_path: Path) -> None:
    for name in ("a.jpg", "a-1.jpg"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-1.jpg").symlink_to(tmp_path / "a.jpg")
    before = (tmp_path / "a.jpg").read_bytes()
    with pytest.raises(MaskinferError, match="is the photo itself; choose another --crops DIR"):
        crop(tmp_path, row("a.jpg", (0, 0, 5, 5)))
    assert (tmp_path / "a.jpg").read_bytes() == before
