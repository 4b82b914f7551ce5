"""YOLO annotations: one text file a photo, a face a line, and a list of class names.

| a row of                                       | is                                          |
| ---------------------------------------------- | ------------------------------------------- |
| `class cx cy w h`                              | a box                                       |
| `class cx cy w h confidence`                   | a box that a model found                    |
| `class cx cy w h` and points `x y`             | a box with key points; -1 or 0: not visible |
| `class cx cy w h` and points `x y visibility`  | the same                                    |
| `class x1 y1 x2 y2 x3 y3 ...`                  | a polygon                                   |

All in fractions of the upright photo's width and height. A row of 7 numbers and more can be of both
kinds by its length: it is told by its numbers, or else by the other rows of its file, or of all.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Literal

from maskinfer.errors import AnnotationError
from maskinfer.text import counted

from .annotations import AnnotatedFace, Skipped, box_around, read_faces, read_text
from .data_yaml import is_class_list, read_class_names, read_key_points
from .source import Items, NoFormatError, Source

Kind = Literal["box", "confidence", "key points", "polygon", "unclear"]
Kinds = dict[int, Kind]  # of rows, by how many fractions they have
# Boxes reach a little past the border; numbers far past it are pixels, not fractions.
_LARGEST_FRACTION = 2.0
_PAST_BORDER = 0.05  # of the photo: how far a box with key points may reach
_PAST_BOX = 0.15  # of the box: how far its key points may lie outside
_LEAST_SPREAD = 0.3  # of the box's longer span: eyes, nose and mouth take up more
_UNCLEAR = (
    "may be a polygon or a box with key points. For key points, write kpt_shape: [POINTS, 2] into "
    "data.yaml; for a polygon, its box instead"
)


def read_yolo(source: Source) -> Items:
    """Read YOLO: `images/a.jpg` with `labels/a.txt` (at any depth), or `a.txt` beside `a.jpg`.

    Without a list of names, a class is named by its number. A `NoFormatError` where there is no
    label file, an `AnnotationError` where the names cannot be read.
    """
    names = read_class_names(source)
    labels, orphans = _pair_labels(source)
    if not labels:
        raise NoFormatError(
            f"{source.labels}: no .txt file of an image in it, expected YOLO labels"
        )
    key_points = read_key_points(source)
    votes: Counter[tuple[int, Kind]] = Counter()
    for label in set(labels.values()):
        with suppress(AnnotationError):  # listed when it is to be read
            votes.update(_kinds(read_text(source.path(label)), key_points))
    kinds = _settle(votes)
    if found := sum(count for (_, kind), count in votes.items() if kind == "confidence"):
        source.notes.append(f"{counted(found, 'row')} of 6 numbers: the last is read as confidence")
    for image in source.images:
        if image not in labels:
            yield Skipped(image, "no label file")
            continue
        label = labels[image]
        try:
            text = read_text(source.path(label), label)
        except AnnotationError as error:
            yield Skipped(image, str(error))
            continue
        of_file = _settle(Counter(_kinds(text, key_points)))
        read = partial(_read_face, names=names, kinds=(of_file, kinds), key_points=key_points)
        lines = ((n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip())
        yield from source.describe(image, label, read_faces(read, lines), unit=1)
    for label in orphans:
        yield Skipped(label, "no image of that name")


def _read_face(
    line: str, names: dict[int, str], kinds: tuple[Kinds, Kinds], key_points: int | None
) -> AnnotatedFace:
    class_id, fractions, kind = _parse_row(line, key_points)
    of_file, of_all = (known.get(len(fractions), "unclear") for known in kinds)
    if kind == "unclear":
        kind = of_all if of_file == "unclear" else of_file
    elif kind in ("polygon", "key points") and of_all not in (kind, "unclear"):
        kind = "unclear"
    if kind == "unclear":
        raise AnnotationError(_UNCLEAR)
    if names and class_id not in names:
        raise AnnotationError(f"class is {class_id}, which has no name in the list of classes")
    if kind == "polygon":
        box = box_around(zip(fractions[0::2], fractions[1::2], strict=True))
    else:
        cx, cy, w, h = fractions[:4]
        box = (cx - w / 2, cy - h / 2, w, h)
    return AnnotatedFace(box, names.get(class_id, str(class_id)))


def _pair_labels(source: Source) -> tuple[dict[str, str], list[str]]:
    """The label file of each image, those in `labels` folders first, and those of no image."""
    labels: dict[str, str] = {}
    orphans = []
    apart = source.labels != source.root
    texts = {name: apart or "/labels/" in f"/{name.lower()}" for name in source.files(".txt")}
    for name, expected in sorted(texts.items(), key=lambda item: not item[1]):
        if is_class_list(name):
            continue
        images = source.pair(name, anywhere=expected)
        if len({image.rpartition("/")[0] for image in images}) == 1:
            for image in images:
                labels.setdefault(image, name)
        elif expected:
            orphans.append(name)
    return labels, sorted(orphans)


def _kinds(text: str, key_points: int | None) -> Iterator[tuple[int, Kind]]:
    """How many fractions each row has, and what kind it is by itself."""
    for line in text.splitlines():
        with suppress(AnnotationError):
            _, fractions, kind = _parse_row(line, key_points)
            yield len(fractions), kind


def _parse_row(line: str, key_points: int | None) -> tuple[int, list[float], Kind]:
    """The class's number, the fractions, and the kind of row; `key_points` fractions have some."""
    try:
        class_id, *fractions = (float(word) for word in line.split())
    except ValueError as error:
        raise AnnotationError(f"got {line.strip()[:60]!r}, expected numbers") from error
    if not all(math.isfinite(f) and abs(f) <= _LARGEST_FRACTION for f in fractions):
        raise AnnotationError(f"got {line.strip()[:60]!r}, expected fractions of the photo, 0 to 1")
    if class_id < 0 or not class_id.is_integer():
        raise AnnotationError(f"class is {line.split()[0][:60]!r}, expected a whole number")
    kind = "key points" if len(fractions) == key_points else _kind_of(fractions)
    if kind is None:
        raise AnnotationError(
            f"got {len(fractions) + 1} numbers, expected class cx cy w h, the same with a "
            "confidence or key points, or class and a polygon"
        )
    return int(class_id), fractions, kind


def _kind_of(fractions: list[float]) -> Kind | None:
    count = len(fractions)
    if count == 4:
        return "box"
    if count == 5:
        return "confidence" if 0 <= fractions[4] <= 1 else None
    if count < 6:
        return None
    corners = list(zip(fractions[0::2], fractions[1::2], strict=count % 2 == 0))
    rectangle = count == 8 and len(set(fractions[0::2])) == 2 == len(set(fractions[1::2]))
    polygon = count % 2 == 0 and min(fractions) >= -_PAST_BORDER and corners.count((0, 0)) < 2
    if rectangle or not any(_has_key_points(fractions, step) for step in (2, 3)):
        return "polygon" if polygon else None
    return "unclear" if polygon and (count < 10 or _goes_on(corners)) else "key points"


def _has_key_points(fractions: list[float], step: int) -> bool:
    """Whether the first four numbers are a box inside the photo, and the others points in it."""
    if (len(fractions) - 4) % step:
        return False
    cx, cy, w, h = fractions[:4]
    reach = max(abs(cx - 0.5) + w / 2, abs(cy - 0.5) + h / 2)
    if w <= 0 or h <= 0 or reach > 0.5 + _PAST_BORDER:
        return False
    points = [tuple(fractions[i : i + step]) for i in range(4, len(fractions), step)]
    if step == 3 and not all(p[2] in (0, 1, 2) for p in points):
        return False
    seen = [p for p in points if max(p[:2]) > 0 and (step == 2 or p[2] > 0)]
    across, down = [(p[0] - cx) / w for p in seen], [(p[1] - cy) / h for p in seen]
    if any(abs(share) > 0.5 + _PAST_BOX for share in across + down):
        return False
    return len(seen) < 3 or max(_span(across), _span(down)) >= _LEAST_SPREAD


def _goes_on(corners: list[tuple[float, float]]) -> bool:
    """Whether the first corner is at the others' rim and the second near them, as a polygon's.

    In a row with key points the first pair is the box's center, amid the points more often than
    not, and the second its size, which is seldom where its points are.
    """
    amid = []
    for first, second, *rest in zip(*corners, strict=True):  # across, then down
        values = [first, *rest]
        near = _span(values) / len(rest)  # the more corners, the closer each to the others
        if not min(values) - near <= second <= max(values) + near:
            return False
        amid.append(abs(first - (max(rest) + min(rest)) / 2) < _span(rest) / 4)
    return not all(amid)


def _span(values: list[float]) -> float:
    return max(values) - min(values)


def _settle(votes: Counter[tuple[int, Kind]]) -> Kinds:
    """What most rows with a number of fractions are, by those that are clear; if 9 of 10 agree."""
    kinds: Kinds = {}
    for count in {count for count, kind in votes if kind in ("key points", "polygon")}:
        boxes, polygons = votes[count, "key points"], votes[count, "polygon"]
        if max(boxes, polygons) >= 9 * min(boxes, polygons):
            kinds[count] = "key points" if boxes > polygons else "polygon"
    return kinds
