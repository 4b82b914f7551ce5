"""CVAT for images 1.1: one XML file for many photos."""

import xml.etree.ElementTree as ET

from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    box_around,
    known_size,
    parse_number,
    parse_xml,
    read_faces,
    split_of,
    turn,
)
from .source import Items, Source, read_each

_MAX_BYTES = 64_000_000


def read_cvat(source: Source) -> Items:
    """Read CVAT's `annotations.xml`: turned boxes and polygons as the boxes around them."""
    return read_each(source, source.annotations(".xml", "CVAT for images 1.1"), _read_file)


def _read_file(source: Source, name: str) -> Items:
    root = parse_xml(source.path(name), _MAX_BYTES)
    if root.tag != "annotations" or root.find("track") is not None:
        what = f"<{root.tag}>" if root.find("track") is None else "a video's tracks"
        raise AnnotationError(f"holds {what}. Export it as: CVAT for images 1.1")
    for item in root.iter("image"):
        faces = read_faces(_read_shape, ((f" shape {n}", it) for n, it in enumerate(item, 1)))
        split = split_of(name, item.get("subset", ""))
        stated_wh = known_size(item.get("width"), item.get("height"))
        yield from source.photo(item.get("name", ""), name, faces, split=split, stated_wh=stated_wh)


def _read_shape(shape: ET.Element) -> AnnotatedFace:
    if shape.tag == "box":
        left, top, right, bottom = (
            parse_number(shape.get(key), key) for key in ("xtl", "ytl", "xbr", "ybr")
        )
        box = (left, top, right - left, bottom - top)
        if degrees := parse_number(shape.get("rotation") or 0, "rotation"):
            box = turn(box, degrees, ((left + right) / 2, (top + bottom) / 2))
    elif shape.tag == "polygon":
        pairs = [pair.partition(",") for pair in (shape.get("points") or "").split(";")]
        box = box_around((parse_number(x, "x"), parse_number(y, "y")) for x, _, y in pairs)
    else:
        raise AnnotationError(f"a {shape.tag}, expected a box or a polygon")
    return AnnotatedFace(box, shape.get("label") or "")
