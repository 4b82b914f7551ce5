"""Draws the pictures of the docs with the shipped model, from drawn images only.

    python docs/picture.py

`docs/predictions.png` shows sample images that it was not trained on; `docs/failures.png` shows
what it gets wrong among 400 others, drawn from a seed that nothing was trained or measured on.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from maskinfer import MaskDetector
from maskinfer.data.boxes import iou_xywh
from maskinfer.data.labels import parse_name
from maskinfer.evaluation.labelled import label_word
from maskinfer.inference.detector import Prediction
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

COLUMNS, ROWS, TILE, GAP, LINE = 8, 3, 150, 6, 15
RIGHT, WRONG, LABEL = "#117733", "#cc3311", "#0077bb"
FAILURES_SEED, FAILURES_AMONG = 104, 400
MISSED_IOU = 0.5


class Tile(NamedTuple):
    """One photo, what is predicted for it, and the lines beneath it."""

    path: Path
    prediction: Prediction | None
    words: tuple[str, ...]
    shows_label: bool


def main() -> None:
    """Draw both pictures."""
    docs = Path(__file__).parent
    detector = MaskDetector(docs.parent / "maskinfer" / "default.onnx", "cpu")
    paths = sorted((docs.parent / "sample_images" / "test").glob("*.jpg"))[: COLUMNS * ROWS]
    tiles = [
        Tile(path, prediction, (_words(prediction),), shows_label=False)
        for path, prediction in zip(paths, detector(paths), strict=True)
    ]
    _draw(tiles, docs / "predictions.png")
    with tempfile.TemporaryDirectory() as folder:
        write_samples(Path(folder), SynthSettings(FAILURES_AMONG, FAILURES_SEED, 224))
        failures = list(_failures(detector, sorted(Path(folder).glob("*.jpg"))))
        print(f"{len(failures)} of {FAILURES_AMONG} drawn images are predicted wrongly")
        _draw(failures[: COLUMNS * ROWS], docs / "failures.png")


def _failures(detector: MaskDetector, paths: list[Path]) -> Iterable[Tile]:
    for path, prediction in zip(paths, detector(paths), strict=True):
        label = parse_name(path.name)
        overlap = 0.0
        if prediction is not None:
            overlap = float(iou_xywh(prediction.box_xywh, label.box_xywh))
        if not _is_right(prediction, label.proper_mask) or overlap < MISSED_IOU:
            truth = f"is {label_word(label.proper_mask)}, IoU {overlap:.2f}"
            yield Tile(path, prediction, (_words(prediction), truth), shows_label=True)


def _is_right(prediction: Prediction | None, proper_mask: bool) -> bool:
    return prediction is not None and prediction.proper_mask == proper_mask


def _words(prediction: Prediction | None) -> str:
    if prediction is None:
        return "no face"
    return f"{label_word(prediction.proper_mask)} {prediction.probability:.2f}"


def _draw(tiles: list[Tile], out: Path) -> None:
    lines = max(len(tile.words) for tile in tiles)
    high = TILE + GAP + 3 + lines * LINE
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) - GAP, rows * high - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for place, tile in enumerate(tiles):
        left, top = (place % COLUMNS) * (TILE + GAP), (place // COLUMNS) * high
        with Image.open(tile.path) as image:
            photo = image.convert("RGB")
        ratio = TILE / max(photo.size)
        photo = photo.resize((round(photo.width * ratio), round(photo.height * ratio)))
        label = parse_name(tile.path.name)
        color = RIGHT if _is_right(tile.prediction, label.proper_mask) else WRONG
        if tile.shows_label:
            _outline(photo, label.box_xywh, ratio, LABEL)
        if tile.prediction is not None:
            _outline(photo, tile.prediction.box_xywh, ratio, color)
        sheet.paste(photo, (left, top))
        for line, words in enumerate(tile.words):
            draw.text((left, top + TILE + 2 + line * LINE), words, fill=color, font=font)
    sheet.quantize(192).save(out, optimize=True)


def _outline(
    photo: Image.Image, box_xywh: tuple[int, int, int, int], ratio: float, color: str
) -> None:
    x, y, w, h = (value * ratio for value in box_xywh)
    ImageDraw.Draw(photo).rectangle((x, y, x + w, y + h), outline=color, width=3)


if __name__ == "__main__":
    main()
