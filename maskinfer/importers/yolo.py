"""YOLO annotations: one text file a photo, a face a line, and a list of class names."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from maskinfer.errors import AnnotationError
from maskinfer.text import counted

from .annotations import AnnotatedFace, Skipped, read_faces, read_text
from .data_yaml import is_class_list, read_class_names, read_key_points
from .source import Items, NoFormatError, Source
from .yolo_rows import Kind, box_of, parse_row, settle

_UNCLEAR = (
    "may be a polygon or a box with key points. For key points, write kpt_shape: [POINTS, 2] into "
    "data.yaml; for a polygon, its box instead"
)


def read_yolo(source: Source) -> Items:
    """Read YOLO: `images/a.jpg` with `labels/a.txt` (at any depth), or `a.txt` beside `a.jpg`.

    Without a list of names, a class is named by its number.

    Raises:
        NoFormatError: there is no label file in the folder, or the names cannot be read.
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
    kinds = settle(votes)
    if found := sum(count for (_, kind), count in votes.items() if kind == "confidence"):
        source.notes.append(f"{counted(found, 'row')} of 6 numbers: the last is read as confidence")
    for image in source.images:
        if image not in labels:
            yield Skipped(image, "no label file")
            continue
        label = labels[image]
        try:
            text = read_text(source.path(label), name=label)
        except AnnotationError as error:
            yield Skipped(image, str(error))
            continue
        of_file = settle(Counter(_kinds(text, key_points)))
        read = partial(_read_face, names=names, kinds=(of_file, kinds), key_points=key_points)
        lines = ((n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip())
        yield from source.describe(image, label, read_faces(read, lines), unit=1)
    for label in orphans:
        yield Skipped(label, "no image of that name")


def _read_face(
    line: str,
    names: dict[int, str],
    kinds: tuple[dict[int, Kind], dict[int, Kind]],
    key_points: int | None,
) -> AnnotatedFace:
    class_id, fractions, kind = parse_row(line, key_points)
    of_file, of_all = (known.get(len(fractions), "unclear") for known in kinds)
    if kind == "unclear":
        kind = of_all if of_file == "unclear" else of_file
    elif kind in ("polygon", "key points") and of_all not in (kind, "unclear"):
        kind = "unclear"
    if kind == "unclear":
        raise AnnotationError(_UNCLEAR)
    if names and class_id not in names:
        raise AnnotationError(f"class is {class_id}, which has no name in the list of classes")
    return AnnotatedFace(box_of(fractions, kind), names.get(class_id, str(class_id)))


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
            _, fractions, kind = parse_row(line, key_points)
            yield len(fractions), kind
