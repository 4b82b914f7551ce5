"""COCO annotations: one JSON file for many photos."""

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    Skipped,
    parse_number,
    parse_size,
    split_in,
    split_of,
)
from .json_stream import stream_items
from .source import Items, Source, read_each

_LISTS = ("images", "annotations", "categories")
# Its number and the face, its class still an id; or what is wrong with it.
_Annotation = tuple[int, AnnotatedFace] | str


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
    annotations: dict[str, list[_Annotation]] = {}  # by their image's id
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
            image_id = _id(item.get("image_id"))
            annotations.setdefault(image_id, []).append(_parse(number, item))
            number += 1
        elif key == "categories":
            names[_id(item.get("id"))] = str(item.get("name"))
    if missing:
        raise AnnotationError(_no_list(next(iter(missing))))
    split = split_in(re.split(r"[_.\-]", name.rpartition("/")[2])) or split_of(name)
    for image_id, file_name, width, height in images:
        try:
            if not isinstance(file_name, str) or not file_name:
                raise AnnotationError(f"image {image_id} has no file_name")
            stated_wh = parse_size(width, height)
        except AnnotationError as error:
            yield Skipped(name, str(error))
            continue
        faces = [_named(found, names) for found in annotations.pop(image_id, ())]
        yield from source.photo(file_name, name, faces, split=split, stated_wh=stated_wh)
    for image_id, left in annotations.items():
        for found in left:
            what = f": annotation {found[0]}" if isinstance(found, tuple) else found
            why = f"image_id is {image_id[:60]!r}, which no image has"
            yield Skipped(name, f"{what.removeprefix(': ')}: {why}")


def _named(annotation: _Annotation, names: dict[str, str]) -> AnnotatedFace | str:
    if isinstance(annotation, str):
        return annotation
    number, face = annotation
    if face.class_name not in names:
        return f": annotation {number}: category {face.class_name} is not described"
    return replace(face, class_name=names[face.class_name])


def _no_list(key: str) -> str:
    return f"no list of objects {key!r}, expected COCO annotations"


def _parse(number: int, item: dict[str, Any]) -> _Annotation:
    try:
        box = item.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise AnnotationError(f"bbox is {str(box)[:60]}, expected [x, y, w, h]")
        x, y, w, h = (parse_number(value, "bbox") for value in box)
        crowd = item.get("iscrowd") not in (None, 0, False, "0")
        return number, AnnotatedFace((x, y, w, h), _id(item.get("category_id")), crowd)
    except AnnotationError as error:
        return f": annotation {number}: {error}"


def _id(value: Any) -> str:
    """An id by its value, whatever its type: 1, 1.0 and "1" are the same."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()
