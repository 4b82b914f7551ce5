"""COCO annotations: one JSON file for many photos."""

import re
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from maskinfer.errors import AnnotationError

from .annotations import AnnotatedFace, Skipped, parse_number, parse_size, read_faces, split_of
from .json_stream import stream_items
from .source import Items, Source, read_each

_LISTS = ("images", "annotations", "categories")
_KEYS = ("bbox", "category_id", "iscrowd")  # what is kept of an annotation


def read_coco(source: Source) -> Items:
    """Read COCO: JSON files with `images`, `annotations` and `categories`.

    Where there are `instances_*.json` files, or else `_annotations.coco.json` files, other JSON
    files (captions, key points) are passed over. Crowds (`iscrowd`) are no faces. Ids are compared
    by value.
    """
    files = source.annotations(".json", "COCO annotations")
    for pattern in ("instances_*.json", "_annotations.coco.json"):
        if matching := [name for name in files if PurePosixPath(name).match(pattern)]:
            files = matching
            break
    return read_each(source, files, _read_file)


def _read_file(source: Source, name: str) -> Items:
    images: list[tuple[str, Any, Any, Any]] = []  # id, file name, width, height
    annotations: dict[str, list[tuple[str, list[Any]]]] = {}  # by their image's id
    names: dict[str, str] = {}
    missing = dict.fromkeys(_LISTS)
    number = 0
    for key, item in stream_items(source.path(name)):
        if item is None:  # the list begins
            missing.pop(key, None)
        elif key in missing or (key in _LISTS and not isinstance(item, dict)):
            raise AnnotationError(_no_list(key))
        elif key == "images":
            values = map(item.get, ("file_name", "width", "height"))
            images.append((_id(item.get("id")), *values))
        elif key == "annotations":
            of_image = annotations.setdefault(_id(item.get("image_id")), [])
            of_image.append((f" annotation {number}", [*map(item.get, _KEYS)]))
            number += 1
        elif key == "categories":
            names[_id(item.get("id"))] = str(item.get("name"))
    if missing:
        raise AnnotationError(_no_list(next(iter(missing))))
    read = partial(_read_face, names=names)
    split = split_of(name, *re.split(r"[_.\-]", name.rpartition("/")[2]))
    for image_id, file_name, width, height in images:
        try:
            if not isinstance(file_name, str) or not file_name:
                raise AnnotationError(f"image {image_id} has no file_name")
            stated_wh = parse_size(width, height)
        except AnnotationError as error:
            yield Skipped(name, str(error))
            continue
        faces = read_faces(read, annotations.pop(image_id, ()))
        yield from source.photo(file_name, name, faces, split=split, stated_wh=stated_wh)
    for image_id, left in annotations.items():
        why = f"image_id is {image_id[:60]!r}, which no image has"
        for (where, _), face in zip(left, read_faces(read, left), strict=True):
            what = face if isinstance(face, str) else where
            yield Skipped(name, f"{what.lstrip(': ')}: {why}")


def _no_list(key: str) -> str:
    return f"no list of objects {key!r}, expected COCO annotations"


def _read_face(values: list[Any], names: dict[str, str]) -> AnnotatedFace:
    box, category, crowd = values
    if not isinstance(box, list) or len(box) != 4:
        raise AnnotationError(f"bbox is {str(box)[:60]}, expected [x, y, w, h]")
    x, y, w, h = (parse_number(value, "bbox") for value in box)
    if _id(category) not in names:
        raise AnnotationError(f"category {_id(category)} is not described")
    return AnnotatedFace((x, y, w, h), names[_id(category)], crowd not in (None, 0, False, "0"))


def _id(value: Any) -> str:
    """An id by its value, whatever its type: 1, 1.0 and "1" are the same."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()
