"""Pascal VOC annotations: one XML file a photo."""

import xml.etree.ElementTree as ET

from maskinfer.errors import AnnotationError

from .annotations import AnnotatedFace, Skipped, parse_number, parse_size, parse_xml, read_faces
from .source import Items, Source, in_other_splits, stem_of


def read_voc(source: Source) -> Items:
    """Read Pascal VOC: one XML file a photo, beside it or in a folder of its own.

    The box is x = xmin, y = ymin, w = xmax - xmin, h = ymax - ymin. (VOC's own files count pixels
    from 1 and include the last; most tools that write the format do neither.) A file belongs to the
    photo that `Source.pair` finds for it; `<filename>`, stale wherever photos were renamed, decides
    only where there is none. A `NoFormatError` where there is no XML file in the folder.
    """
    files = source.annotations(".xml", "Pascal VOC annotations")
    owners: dict[str, str] = {}  # first, so that no file that sorts before takes another's photo
    for xml in files:
        if len(own := source.pair(xml)) == 1:
            owners.setdefault(own[0], xml)
    for xml in files:
        try:
            root = parse_xml(source.path(xml))
            if root.tag != "annotation":
                raise AnnotationError(f"root is <{root.tag}>, expected <annotation>")
            image = _find_image(source, (root.findtext("filename") or "").strip(), xml)
            twice = "annotated by another file already"
            if owners.get(image, xml) != xml:
                raise AnnotationError(f"{image} is {twice}")
            stated_wh = parse_size(root.findtext("size/width"), root.findtext("size/height"))
            source.claim(image, twice)
        except AnnotationError as error:
            yield Skipped(xml, str(error))
            continue
        objects = ((f" object {n}", item) for n, item in enumerate(root.findall("object"), 1))
        faces = read_faces(_read_object, objects)
        yield from source.describe(image, xml, faces, stated_wh=stated_wh)
    yield from source.unclaimed("no usable annotation")


def _read_object(item: ET.Element) -> AnnotatedFace:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise AnnotationError("no <name>")
    x1, y1, x2, y2 = (
        parse_number(item.findtext(f"bndbox/{key}"), f"<{key}>")
        for key in ("xmin", "ymin", "xmax", "ymax")
    )
    return AnnotatedFace((x1, y1, x2 - x1, y2 - y1), name)


def _find_image(source: Source, name: str, xml: str) -> str:
    own, stem = source.pair(xml), stem_of(xml.rpartition(".")[0])
    if len(own) == 1:
        return own[0]
    matches = source.find_all(name, xml) if name else []
    matches = [m for m in matches if m in own] or own or matches or source.pair(xml, anywhere=True)
    if not matches:
        known = f"{name!r} or {stem!r}" if name else repr(stem)
        raise AnnotationError(f"no image is named {known}")
    if len(matches) > 1:
        raise AnnotationError(f"{len(matches)} images are named {name or stem!r}")
    if in_other_splits(matches[0], xml):
        raise AnnotationError(f"names {name!r}, which is in another split: {matches[0]}")
    return matches[0]
