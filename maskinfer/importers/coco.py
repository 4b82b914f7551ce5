"""COCO annotations: one JSON file for many photos."""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    AnnotatedImage,
    ImageIndex,
    Skipped,
    list_files,
    parse_number,
    parse_size,
    read_bytes,
    split_in,
    split_of,
)

_MAX_BYTES = 2_000_000_000  # one file for all photos; COCO's own have half a gigabyte


def read_coco(src: Path) -> Iterator[AnnotatedImage | Skipped]:
    """Read COCO: JSON files with `images`, `annotations` and `categories`.

    Where there are `instances_*.json` files, or else `_annotations.coco.json` files, other JSON
    files (captions, key points) are passed over. Crowds (`iscrowd`) are no faces.

    Raises:
        AnnotationError: there is no JSON file in the folder.
        DatasetError: there is no such folder.
    """
    index = ImageIndex(src)
    files = list_files(src, ".json")
    if not files:
        raise AnnotationError(f"{src}: no .json file in it, expected COCO annotations")
    for pattern in ("instances_*.json", "_annotations.coco.json"):
        matching = [name for name in files if PurePosixPath(name).match(pattern)]
        if matching:
            files = matching
            break
    for relative in files:
        try:
            entries = _parse_coco(src / relative)
        except AnnotationError as error:
            yield Skipped(relative, str(error))
            continue
        folders = PurePosixPath(relative)
        split = split_of(relative) or split_in(re.split(r"[_.\-]", folders.name))
        for name, stated_wh, faces in entries:
            try:
                source = index.find(name, relative, split)
                index.claim(source, "annotated twice")
                if isinstance(faces, str):
                    raise AnnotationError(faces)
            except AnnotationError as error:
                yield Skipped(name, f"{relative}: {error}")
                continue
            yield index.describe(source, stated_wh, split_of(source) or split, faces)
    yield from index.unclaimed("no annotation")


def _parse_coco(path: Path) -> list[tuple[str, tuple[int, int] | None, list[AnnotatedFace] | str]]:
    """Name, stated size, and faces, or what is wrong with them, of each image of one JSON file."""
    try:
        data = json.loads(read_bytes(path, _MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"malformed JSON: {error}") from error
    images, annotations, categories = (
        _items(data, key) for key in ("images", "annotations", "categories")
    )
    names = {_id(item, "id"): str(item.get("name")) for item in categories}
    faces: dict[int | str, list[AnnotatedFace]] = {}
    faults: dict[int | str, str] = {}
    for number, item in enumerate(annotations):
        image_id = _id(item, "image_id")
        if item.get("iscrowd"):
            continue
        try:
            faces.setdefault(image_id, []).append(_parse_coco_face(item, names))
        except AnnotationError as error:
            faults.setdefault(image_id, f"annotation {number}: {error}")
    entries = []
    for item in images:
        image_id, name = _id(item, "id"), item.get("file_name")
        if not isinstance(name, str) or not name:
            raise AnnotationError(f"image {image_id!r} has no file_name")
        stated_wh = parse_size(item.get("width"), item.get("height"))
        entries.append((name, stated_wh, faults.get(image_id, faces.get(image_id, []))))
    return entries


def _parse_coco_face(item: dict[str, Any], names: dict[int | str, str]) -> AnnotatedFace:
    category_id, box = _id(item, "category_id"), item.get("bbox")
    if category_id not in names:
        raise AnnotationError(f"category {category_id!r} is not described")
    if not isinstance(box, list) or len(box) != 4:
        raise AnnotationError(f"bbox is {str(box)[:60]}, expected [x, y, w, h]")
    x, y, w, h = (parse_number(value, "bbox") for value in box)
    return AnnotatedFace((x, y, w, h), names[category_id])


def _items(data: Any, key: str) -> list[dict[str, Any]]:
    items = data.get(key) if isinstance(data, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise AnnotationError(f"no list of objects {key!r}, expected COCO annotations")
    return items


def _id(item: dict[str, Any], key: str) -> int | str:
    value = item.get(key)
    if not isinstance(value, int | str):
        raise AnnotationError(f"{key} is {str(value)[:60]!r}, expected a number")
    return value
