"""COCO annotations: one JSON file for many photos."""

import re
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    Skipped,
    parse_number,
    parse_size,
    read_faces,
    read_json,
    split_of,
)
from .source import Items, Source, read_each

_LISTS = ("images", "annotations", "categories")
_OF_FACE = ("bbox", "category_id", "iscrowd")
_KEPT = (*_LISTS, *_OF_FACE, "id", "image_id", "name", "file_name", "width", "height")


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
    whole = read_json(source.path(name), _keep)
    lists: list[list[dict[str, Any]]] = []
    for key in _LISTS:
        items = whole.get(key) if isinstance(whole, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise AnnotationError(f"no list of objects {key!r}, expected COCO annotations")
        lists.append(items)
    images, annotations, categories = lists
    of_image: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for number, item in enumerate(annotations):
        of_image.setdefault(_id(item.get("image_id")), []).append((f" annotation {number}", item))
    names = {_id(item.get("id")): str(item.get("name")) for item in categories}
    read = partial(_read_face, names=names)
    split = split_of(name, *re.split(r"[_.\-]", name.rpartition("/")[2]))
    for item in images:
        image_id, file_name = _id(item.get("id")), item.get("file_name")
        try:
            if not isinstance(file_name, str) or not file_name:
                raise AnnotationError(f"image {image_id} has no file_name")
            stated_wh = parse_size(item.get("width"), item.get("height"))
        except AnnotationError as error:
            yield Skipped(name, str(error))
            continue
        faces = read_faces(read, of_image.pop(image_id, ()))
        yield from source.photo(file_name, name, faces, split=split, stated_wh=stated_wh)
    for image_id, left in of_image.items():
        why = f"image_id is {image_id[:60]!r}, which no image has"
        for (where, _), face in zip(left, read_faces(read, left), strict=True):
            what = face if isinstance(face, str) else where
            yield Skipped(name, f"{what.lstrip(': ')}: {why}")


def _keep(item: dict[str, Any]) -> dict[str, Any]:
    """What is read of an object; outlines and the like can be most of a file."""
    return {key: item[key] for key in _KEPT if key in item}


def _read_face(values: dict[str, Any], names: dict[str, str]) -> AnnotatedFace:
    box, category, crowd = map(values.get, _OF_FACE)
    if not isinstance(box, list) or len(box) != 4:
        raise AnnotationError(f"bbox is {str(box)[:60]}, expected [x, y, w, h]")
    x, y, w, h = (parse_number(value, "bbox") for value in box)
    if _id(category) not in names:
        raise AnnotationError(f"category {_id(category)} is not described")
    return AnnotatedFace((x, y, w, h), names[_id(category)], crowd not in (None, 0, False, "0"))


def _id(value: Any) -> str:
    """An id by its value, whatever its type: 1, 1.0 and "1" are the same."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
