"""Annotations as tools write them, and the readers over them."""

import json
from pathlib import Path

from PIL import Image

from maskinfer.importers.annotations import AnnotatedImage, Skipped
from maskinfer.importers.coco import read_coco
from maskinfer.importers.csv_boxes import read_csv
from maskinfer.importers.cvat import read_cvat
from maskinfer.importers.labelstudio import read_labelstudio
from maskinfer.importers.source import Source
from maskinfer.importers.voc import read_voc
from maskinfer.importers.yolo import read_yolo

READERS = {
    "voc": read_voc,
    "yolo": read_yolo,
    "coco": read_coco,
    "csv": read_csv,
    "cvat": read_cvat,
    "labelstudio": read_labelstudio,
}


def photo(path: Path, size_wh: tuple[int, int] = (100, 80), orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size_wh, "grey").save(path, exif=exif)


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def voc(*objects: str, filename: str = "a.jpg", size: str = "") -> str:
    return f"<annotation><filename>{filename}</filename>{size}{''.join(objects)}</annotation>"


def voc_object(x1: object, y1: object, x2: object, y2: object, name: str = "with_mask") -> str:
    box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def coco(images: object, annotations: object, categories: object = None) -> str:
    categories = [{"id": 1, "name": "with_mask"}] if categories is None else categories
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def read(layout: str, src: Path) -> tuple[list[AnnotatedImage], list[Skipped]]:
    items = list(READERS[layout](Source(src)))
    skipped = [item for item in items if isinstance(item, Skipped)]
    assert all(len(item.reason.splitlines()) == 1 for item in skipped)
    return [item for item in items if isinstance(item, AnnotatedImage)], skipped


def boxes(image: AnnotatedImage) -> list[tuple[float, ...]]:
    return [face.box_xywh for face in image.faces]
