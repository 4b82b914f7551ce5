"""Draws `docs/predictions.png`, the README's picture: what the shipped model says of sample images.

python docs/picture.py
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from maskinfer import MaskDetector
from maskinfer.labels import parse_name

COLUMNS, ROWS, TILE, GAP = 8, 3, 150, 6
RIGHT, WRONG = "#117733", "#cc3311"


def main() -> None:
    """Draw the first sample test images with their predicted boxes."""
    root = Path(__file__).parent.parent
    paths = sorted((root / "sample_images" / "test").glob("*.jpg"))[: COLUMNS * ROWS]
    size = (COLUMNS * (TILE + GAP) - GAP, ROWS * (TILE + GAP + 18) - GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    predictions = MaskDetector(root / "maskinfer" / "default.onnx", "cpu")(paths)
    for place, (path, found) in enumerate(zip(paths, predictions, strict=True)):
        left = (place % COLUMNS) * (TILE + GAP)
        top = (place // COLUMNS) * (TILE + GAP + 18)
        with Image.open(path) as image:
            photo = image.convert("RGB")
        ratio = TILE / max(photo.size)
        photo = photo.resize((round(photo.width * ratio), round(photo.height * ratio)))
        color = RIGHT if found.proper_mask == parse_name(path.name).proper_mask else WRONG
        x, y, w, h = (value * ratio for value in found.box_xywh)
        ImageDraw.Draw(photo).rectangle((x, y, x + w, y + h), outline=color, width=3)
        sheet.paste(photo, (left, top))
        words = f"{'proper' if found.proper_mask else 'improper'} {found.probability:.2f}"
        draw.text((left, top + TILE + 2), words, fill=color, font=font)
    sheet.quantize(192).save(root / "docs" / "predictions.png", optimize=True)


if __name__ == "__main__":
    main()
