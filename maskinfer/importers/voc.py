"""Pascal VOC annotations: one XML file a photo."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NoReturn
from xml.parsers import expat

from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    AnnotatedImage,
    ImageIndex,
    NoImageError,
    Skipped,
    list_files,
    parse_number,
    parse_size,
    read_bytes,
    split_of,
)


def read_voc(src: Path) -> Iterator[AnnotatedImage | Skipped]:
    """Read Pascal VOC: one XML file a photo, beside it or in a folder of its own.

    The box is x = xmin, y = ymin, w = xmax - xmin, h = ymax - ymin. (VOC's own files count pixels
    from 1 and include the last; most tools that write the format do neither.)

    Raises:
        AnnotationError: there is no XML file in the folder.
        DatasetError: there is no such folder.
    """
    index = ImageIndex(src)
    files = list_files(src, ".xml")
    if not files:
        raise AnnotationError(f"{src}: no .xml file in it, expected Pascal VOC annotations")
    for relative in files:
        try:
            name, stated_wh, faces = _parse_voc(src / relative)
            source = _find_voc_image(index, name, relative)
            index.claim(source, "annotated by another file already")
        except AnnotationError as error:
            yield Skipped(relative, str(error))
            continue
        yield index.describe(source, stated_wh, split_of(source), faces)
    yield from index.unclaimed("no usable annotation")


def _find_voc_image(index: ImageIndex, name: str | None, xml: str) -> str:
    """By <filename>, or else by the XML file's own name: renamed photos keep a stale <filename>."""
    stem = PurePosixPath(xml).stem
    if not name:
        return index.find(stem, xml)
    with suppress(NoImageError):
        return index.find(name, xml)
    try:
        return index.find(stem, xml)
    except AnnotationError as error:
        raise AnnotationError(f"no image is named {name!r} or {stem!r}") from error


def _parse_voc(path: Path) -> tuple[str | None, tuple[int, int] | None, list[AnnotatedFace]]:
    """The file name, the stated size and the faces of one XML file."""
    root = _parse_xml(path)
    if root.tag != "annotation":
        raise AnnotationError(f"root is <{root.tag}>, expected <annotation>")
    faces = []
    for number, item in enumerate(root.findall("object"), 1):
        name = (item.findtext("name") or "").strip()
        if not name:
            raise AnnotationError(f"object {number} has no <name>")
        x1, y1, x2, y2 = (
            parse_number(item.findtext(f"bndbox/{key}"), f"<{key}> of object {number}")
            for key in ("xmin", "ymin", "xmax", "ymax")
        )
        faces.append(AnnotatedFace((x1, y1, x2 - x1, y2 - y1), name))
    stated_wh = parse_size(root.findtext("size/width"), root.findtext("size/height"))
    return (root.findtext("filename") or "").strip() or None, stated_wh, faces


def _parse_xml(path: Path) -> ET.Element:
    """Parse XML that declares no document type, and so no entities that could blow up."""

    def refuse(*_: object) -> NoReturn:
        raise AnnotationError("declares a DOCTYPE, which annotations do not need; remove it")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    data = read_bytes(path)
    try:
        guard.Parse(data, True)
        return ET.fromstring(data)
    except (expat.ExpatError, ET.ParseError, LookupError, ValueError) as error:
        raise AnnotationError(f"malformed XML: {error}") from error
