"""Photos with annotated faces, in the layouts of three formats."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]


Faces = list[tuple[Box, str]]  # x, y, w, h and class


SIZE = (200, 100)


TWO_FACES: Faces = [((120, 20, 60, 60), "with_mask"), ((10, 30, 20, 20), "without_mask")]


def save_photo(path: Path, faces: Faces = (), size_wh: tuple[int, int] = SIZE, **options: object):
    """A grey photo with a colour in each face: green where properly masked, else red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size_wh[1], size_wh[0], 3), 128, np.uint8)
    for (x, y, w, h), name in faces:
        colour = (0, 255, 0) if name == "with_mask" else (255, 0, 0)
        pixels[max(0, int(y)) : int(y + h), max(0, int(x)) : int(x + w)] = colour
    Image.fromarray(pixels).save(path, **options)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def voc_text(name: str, faces: Faces, size_wh: tuple[int, int] = SIZE) -> str:
    objects = "".join(
        f"<object><name>{class_name}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
        for (x, y, w, h), class_name in faces
    )
    size = f"<size><width>{size_wh[0]}</width><height>{size_wh[1]}</height></size>"
    return f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"


def make_voc(src: Path, photos: dict[str, Faces]) -> Path:
    for name, faces in photos.items():
        save_photo(src / "images" / name, faces)
        write(src / "annotations" / f"{Path(name).stem}.xml", voc_text(name, faces))
    return src


def make_yolo(src: Path, photos: dict[str, Faces]) -> Path:
    names = sorted({name for faces in photos.values() for _, name in faces})
    write(src / "data.yaml", f"names: {names}\n")
    for photo, faces in photos.items():
        save_photo(src / "images" / photo, faces)
        lines = [
            f"{names.index(name)} {(x + w / 2) / 200} {(y + h / 2) / 100} {w / 200} {h / 100}"
            for (x, y, w, h), name in faces
        ]
        write(src / "labels" / f"{Path(photo).stem}.txt", "\n".join(lines))
    return src


def make_coco(src: Path, photos: dict[str, Faces]) -> Path:
    names = sorted({name for faces in photos.values() for _, name in faces})
    images, annotations = [], []
    for photo, faces in photos.items():
        save_photo(src / "images" / photo, faces)
        images.append({"id": photo, "file_name": photo, "width": 200, "height": 100})
        annotations += [
            {"image_id": photo, "category_id": names.index(name), "bbox": box}
            for box, name in faces
        ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    data = {"images": images, "annotations": annotations, "categories": categories}
    write(src / "coco.json", json.dumps(data))
    return src


MAKERS: dict[str, Callable[[Path, dict[str, Faces]], Path]] = {
    "voc": make_voc,
    "yolo": make_yolo,
    "coco": make_coco,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
