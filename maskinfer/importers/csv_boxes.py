"""CSV annotations: a face a line, such as TensorFlow's and Roboflow's `_annotations.csv`."""

import csv
import io
from collections.abc import Sequence
from functools import partial

from maskinfer.errors import AnnotationError

from .annotations import AnnotatedFace, known_size, parse_number, read_faces, read_text, split_of
from .source import Items, Source, read_each

_NAMES = {
    "filename": "file file_name image image_name image_path image_id img path",
    "class": "label class_name category name",
    "split": "subset set",
    "xmin": "x_min x1 left xtl",
    "ymin": "y_min y1 top ytl",
    "xmax": "x_max x2 right xbr",
    "ymax": "y_max y2 bottom ybr",
    "x": "bbox_x",
    "y": "bbox_y",
    "w": "bbox_w bbox_width box_width",
    "h": "bbox_h bbox_height box_height",
    "width": "image_width img_width",
    "height": "image_height img_height",
}
_COLUMNS = {other: name for name, others in _NAMES.items() for other in (name, *others.split())}
_CORNERS, _SIDES = ("xmin", "ymin", "xmax", "ymax"), ("x", "y", "w", "h")
_Row = tuple[int, dict[str, str]]


def read_csv(source: Source, columns: Sequence[str] = ()) -> Items:
    """Read CSV files with a face a line: the photo's name, the class, and a box in pixels.

    The box is `xmin,ymin,xmax,ymax` or `x,y,w,h`; a line of a photo without a box says that no face
    is in it. Where a file has no `split` column, its folder says.

    `columns` are what no header says, in order; where they are given, a header is passed over.
    """
    files = source.annotations(".csv", "a face a line")
    return read_each(source, files, partial(read_file, columns=columns))


def read_file(
    source: Source, name: str, columns: Sequence[str] = (), *, boxes: bool = True
) -> Items:
    """Read one CSV file; without `boxes`, a line is a photo that one face fills.

    An `AnnotationError`, which does not name it, where it is no CSV file, or lacks columns.
    """
    try:
        photos = _read_rows(read_text(source.path(name), name, is_list=True), columns, boxes)
    except csv.Error as error:
        raise AnnotationError(f"no CSV: {error}") from error
    for file_name, rows in photos.items():
        line, first = rows[0]
        split = split_of(name, first.get("split", ""))
        if not boxes:
            face = AnnotatedFace((0, 0, 1, 1), first.get("class", ""))
            yield from source.photo(file_name, name, [face], line, split=split, unit=1)
            continue
        stated_wh = known_size(first.get("width"), first.get("height"))
        with_box = [(n, row) for n, row in rows if any(map(row.get, _CORNERS + _SIDES))]
        faces = read_faces(_read_face, with_box)
        yield from source.photo(file_name, name, faces, line, split=split, stated_wh=stated_wh)


def _read_rows(text: str, columns: Sequence[str], boxes: bool) -> dict[str, list[_Row]]:
    """The lines of each photo, with their numbers and by the names of their columns."""
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    header = [_COLUMNS.get(cell.strip().lower(), cell) for cell in columns or next(reader, [])]
    if "w" not in header and "xmin" not in header:  # the box's, where there are no corners
        header = [{"width": "w", "height": "h"}.get(cell, cell) for cell in header]
    has_boxes = set(_CORNERS) <= set(header) or set(_SIDES) <= set(header)
    if not boxes and not {"filename", "class"} <= set(header):
        raise AnnotationError(f"columns are {','.join(header)[:200]}, expected filename and class")
    if boxes and ("filename" not in header or not has_boxes):
        raise AnnotationError(
            f"columns are {','.join(header)[:200]}, expected filename, class and xmin, ymin, xmax, "
            "ymax or x, y, w, h. Say what they are with --columns filename,class,xmin,..."
        )
    photos: dict[str, list[_Row]] = {}
    for cells in reader:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        boxed = [cell for name, cell in row.items() if name in _CORNERS + _SIDES]
        is_header = columns and all(cell.lower() in _COLUMNS for cell in boxed)
        if row.get("filename") and not is_header:
            photos.setdefault(row["filename"], []).append((reader.line_num, row))
    return photos


def _read_face(row: dict[str, str]) -> AnnotatedFace:
    keys = _CORNERS if "xmin" in row else _SIDES
    x, y, w, h = (parse_number(row.get(key, ""), key) for key in keys)
    if not row.get("class"):
        raise AnnotationError("no class")
    return AnnotatedFace((x, y, w - x, h - y) if "xmin" in row else (x, y, w, h), row["class"])
