import numpy as np
import pytest
from PIL import Image, ImageDraw

from maskinfer import draw
from maskinfer.inference.results import Prediction


def face(
    box_xywh: tuple[int, int, int, int], *, proper: bool = True, probability: float = 0.97
) -> Prediction:
    return Prediction(box_xywh, proper, probability, 0.75)


def drawn_on(size_wh: tuple[int, int], *faces: Prediction) -> np.ndarray:
    drawn = draw(Image.new("RGB", size_wh, "black"), faces)
    assert (drawn.mode, drawn.size) == ("RGB", size_wh)
    return np.asarray(drawn).astype(int)


@pytest.mark.parametrize("proper", [True, False])
def test_the_box_is_outlined_in_the_colour_of_the_word(proper: bool) -> None:
    pixels = drawn_on((200, 160), face((60, 50, 80, 90), proper=proper))
    red, _, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    marked = (blue if proper else red) > 100
    for y, x in ((50, 100), (139, 100), (95, 60), (95, 139)):
        assert marked[y, x]
    assert not marked[60:130, 70:130].any()  # inside, the photo is left as it is
    assert ((red > 100) == (blue > 100))[50:140, 60].sum() == 0


@pytest.mark.parametrize(
    ("proper", "probability", "words"),
    [(True, 0.97, "proper 0.97"), (False, 0.1234, "not proper 0.12")],
)
def test_the_words_are_those_of_the_mask(
    monkeypatch: pytest.MonkeyPatch, proper: bool, probability: float, words: str
) -> None:
    written: list[str] = []
    text = ImageDraw.ImageDraw.text

    def note(self: ImageDraw.ImageDraw, xy: object, string: str, **options: object) -> None:
        written.append(string)
        text(self, xy, string, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", note)
    draw(
        Image.new("RGB", (200, 160)),
        [face((60, 50, 80, 90), proper=proper, probability=probability)],
    )
    assert written == [words]


@pytest.mark.parametrize(
    "box_xywh",
    [(0, 0, 200, 160), (199, 159, 1, 1), (0, 0, 1, 1), (150, 0, 50, 20)],
    ids=["all of it", "last pixel", "first pixel", "corner"],
)
def test_boxes_at_the_border_are_drawn_too(box_xywh: tuple[int, int, int, int]) -> None:
    assert drawn_on((200, 160), face(box_xywh)).max() > 100


@pytest.mark.parametrize("size_wh", [(1, 1), (3000, 4)])
def test_photos_of_any_size_are_drawn_on(size_wh: tuple[int, int]) -> None:
    drawn_on(size_wh, face((0, 0, 1, 1)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
def test_the_photo_is_copied_whatever_its_mode(mode: str) -> None:
    photo = Image.new(mode, (64, 64))
    before = photo.tobytes()
    drawn = draw(photo, [face((16, 8, 24, 32))])
    assert (drawn.mode, photo.tobytes()) == ("RGB", before)


def test_the_photo_is_turned_upright_as_for_predicting() -> None:
    photo = Image.new("RGB", (80, 40))
    photo.getexif()[0x0112] = 6
    assert draw(photo, []).size == (40, 80)


def test_without_a_face_nothing_is_drawn() -> None:
    assert drawn_on((20, 20)).max() == 0


def test_words_cover_neither_their_face_nor_those_of_others() -> None:
    faces = [
        face((40 + 60 * i, 100 + 90 * j, 30, 36), proper=i % 2 == 0, probability=(i + j) / 20)
        for i in range(9)
        for j in range(4)
    ]
    pixels = drawn_on((600, 500), *faces)
    for x, y, w, h in (face.box_xywh for face in faces):
        assert pixels[y + 4 : y + h - 4, x + 4 : x + w - 4].max() == 0
    assert (pixels.min(2) > 200).sum() > 1000  # white words


def test_a_crowd_too_dense_for_words_has_its_boxes() -> None:
    faces = [face((6 * i, 6 * j, 5, 5)) for i in range(12) for j in range(12)]
    pixels = drawn_on((72, 72), *faces)
    assert (pixels[..., 2] > 100).mean() > 0.5
    assert pixels.min(2).max() < 200  # no white
