"""YOLO annotations: one text file a photo, a face a line, and a list of class names.

A line is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...` for a polygon, in fractions of the
upright photo's width and height. Class names stand in `data.yaml` or `classes.txt`.
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    AnnotatedImage,
    BoxXywhFloat,
    ImageIndex,
    Skipped,
    list_files,
    read_text,
    split_of,
)

if TYPE_CHECKING:
    import yaml

# Boxes reach a little past the border; numbers far past it are pixels, not fractions.
_LARGEST_FRACTION = 2.0


def read_yolo(src: Path) -> Iterator[AnnotatedImage | Skipped]:
    """Read YOLO: `images/a.jpg` with `labels/a.txt` (at any depth), or `a.txt` beside `a.jpg`.

    Without a list of names, a class is named by its number.

    Raises:
        AnnotationError: there is no label file in the folder, or the names cannot be read.
        DatasetError: there is no such folder.
    """
    index = ImageIndex(src)
    names = read_class_names(src)
    texts = set(list_files(src, ".txt"))
    labels = {source: _label_file(source, texts) for source in index.sources}
    if not any(labels.values()):
        raise AnnotationError(f"{src}: no .txt file of an image in it, expected YOLO labels")
    for source, label in labels.items():
        if label is None:
            yield Skipped(source, "no label file")
            continue
        image = index.describe(source, None, split_of(source), ())
        if isinstance(image, AnnotatedImage):
            try:
                faces = _parse_labels(src / label, label, names, image.size_wh)
            except AnnotationError as error:
                yield Skipped(source, str(error))
                continue
            image = dataclasses.replace(image, faces=tuple(faces))
        yield image
    orphans = texts.difference(label for label in labels.values() if label)
    for relative in sorted(orphans):
        if "labels" in PurePosixPath(relative).parts and not relative.endswith("classes.txt"):
            yield Skipped(relative, "no image of that name")


def _label_file(source: str, texts: set[str]) -> str | None:
    beside = f"/{PurePosixPath(source).with_suffix('.txt')}"
    in_labels = "/labels/".join(beside.rsplit("/images/", 1))
    return next((path[1:] for path in (in_labels, beside) if path[1:] in texts), None)


def _parse_labels(
    path: Path, relative: str, names: dict[int, str], size_wh: tuple[int, int]
) -> list[AnnotatedFace]:
    faces = []
    for number, line in enumerate(read_text(path, name=relative).splitlines(), 1):
        if line.strip():
            try:
                faces.append(_parse_line(line, names, size_wh))
            except AnnotationError as error:
                raise AnnotationError(f"{relative}:{number}: {error}") from error
    return faces


def _parse_line(line: str, names: dict[int, str], size_wh: tuple[int, int]) -> AnnotatedFace:
    try:
        values = [float(word) for word in line.split()]
    except ValueError as error:
        raise AnnotationError(f"got {line.strip()[:60]!r}, expected numbers") from error
    polygon = len(values) >= 7 and len(values) % 2 == 1
    if len(values) != 5 and not polygon:
        raise AnnotationError(
            f"got {len(values)} numbers, expected class cx cy w h, or class and a polygon"
        )
    class_id, fractions = values[0], values[1:]
    if not all(math.isfinite(f) and abs(f) <= _LARGEST_FRACTION for f in fractions):
        raise AnnotationError(f"got {line.strip()[:60]!r}, expected fractions of the photo, 0 to 1")
    if class_id < 0 or not class_id.is_integer():
        raise AnnotationError(f"class is {line.split()[0][:60]!r}, expected a whole number")
    if names and int(class_id) not in names:
        raise AnnotationError(f"class is {int(class_id)}, which has no name in the list of classes")
    name = names.get(int(class_id), str(int(class_id)))
    return AnnotatedFace(_to_pixels(fractions, size_wh), name)


def _to_pixels(fractions: list[float], size_wh: tuple[int, int]) -> BoxXywhFloat:
    """Center, width and height, or the points of a polygon, to x, y, w, h in pixels."""
    if len(fractions) == 4:
        cx, cy, w, h = fractions
        left, top = cx - w / 2, cy - h / 2
    else:
        xs, ys = fractions[0::2], fractions[1::2]
        left, top, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return left * size_wh[0], top * size_wh[1], w * size_wh[0], h * size_wh[1]


def read_class_names(src: Path) -> dict[int, str]:
    """Read the class names of a YOLO folder, by number.

    Returns:
        from the first of its `.yaml` files with `names:`, or else from `classes.txt` or a `.names`
        file, one name a line; empty where there is none.

    Raises:
        AnnotationError: the names are there and cannot be read.
    """
    for path in sorted([*src.glob("*.yaml"), *src.glob("*.yml")]):
        names = _read_yaml_names(path) if path.is_file() else None
        if names:
            return names
    listed = [src / "classes.txt", src / "labels" / "classes.txt", *sorted(src.glob("*.names"))]
    for path in listed:
        if path.is_file():
            lines = (line.strip() for line in read_text(path).splitlines())
            return dict(enumerate(line for line in lines if line))
    return {}


def _read_yaml_names(path: Path) -> dict[int, str]:
    """Read the key `names` of a YAML file: a list, or a map from numbers; empty without the key.

    Raises:
        AnnotationError: the file is no YAML, or its names are something else.
    """
    text = read_text(path)
    key = re.search(r"^names\s*:(?=\s|$)", text, re.MULTILINE)
    if key is None:
        return {}
    import yaml

    # Composed and never constructed: nothing in the file becomes an object.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root: Any = yaml.compose(text, loader)
        (names,) = (node for name, node in root.value if name.value == "names")
        return _names_of(names)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = text.count("\n", 0, key.start()) + 1
        raise AnnotationError(
            f"{path}:{line}: class names cannot be read, expected names: [a, b] or a name a "
            "line. Write them into classes.txt, one a line, and remove them here"
        ) from error


def _names_of(node: "yaml.Node") -> dict[int, str]:
    """The names of a composed list or map.

    Raises:
        ValueError: it is neither, is empty, or holds anything but names and their numbers.
    """
    if node.tag == "tag:yaml.org,2002:seq":
        pairs = list(enumerate(node.value))
    elif node.tag == "tag:yaml.org,2002:map":
        pairs = [(int(key.value), item) for key, item in node.value if len(key.value) < 10]
    else:
        pairs = []
    names = {number: item.value for number, item in pairs if item.value}
    plain = all(item.id == "scalar" for _, item in pairs)
    if not names or not plain or not len(names) == len(pairs) == len(node.value):
        raise ValueError(f"not a list of names: {node.tag}")
    return names
