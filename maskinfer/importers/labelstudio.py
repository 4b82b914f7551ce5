"""Label Studio's JSON export, whole (`JSON`) or reduced (`JSON-MIN`)."""

import re
from typing import Any

from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.errors import AnnotationError

from .annotations import (
    AnnotatedFace,
    Skipped,
    box_around,
    known_size,
    parse_number,
    read_faces,
    read_json,
    turn,
)
from .source import Items, Source, read_each

# The service puts `1a2b3c4d-` before the names of uploaded photos.
_UPLOADED = re.compile(r"(^|/)[0-9a-f]{8}-([^/]+)$")


def read_labelstudio(source: Source) -> Items:
    """Read Label Studio: rectangles, turned ones too, and polygons as the boxes around them.

    Of a task that several people annotated, the first that is not cancelled counts, and the others
    are listed.
    """
    return read_each(source, source.annotations(".json", "Label Studio's export"), _read_file)


def _read_file(source: Source, name: str) -> Items:
    tasks = read_json(source.path(name))
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise AnnotationError("expected a list of tasks, as Label Studio exports JSON")
    for task in tasks:
        yield from _read_task(source, name, task)


def _read_task(source: Source, name: str, task: dict[str, Any]) -> Items:
    data = task["data"] if isinstance(task.get("data"), dict) else task
    texts = [task.get("file_upload"), *data.values()]
    # Storage by address has a query behind the name, local files have the name in theirs.
    paths = [t.rpartition("?d=")[2].partition("?")[0] for t in texts if isinstance(t, str)]
    paths = [p for p in paths if f".{p.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES]
    results = _list(task.get("annotations"))
    kept = [r for r in results if isinstance(r, dict) and not r.get("was_cancelled")]
    shapes = _list(kept[0].get("result")) if kept else []
    if "annotations" not in task:  # reduced: the shapes stand beside the photo, by the tag's name
        shapes = [s for v in task.values() for s in _list(v) if isinstance(s, dict)]
    path = next(
        (p for p in paths for p in (p, _UPLOADED.sub(r"\1\2", p)) if source.find_all(p)), ""
    )
    sizes = {_size_of(shape) for shape in shapes} - {None}
    faces = [*read_faces(_read_shape, ((f" task {task.get('id')}", shape) for shape in shapes))]
    if len(kept) > 1:
        faces.append(f": annotated {len(kept)} times, and the first is read")
    if results and not kept:
        yield Skipped(path or name, f"{name}: task {task.get('id')} was cancelled")
        return
    stated_wh = sizes.pop() if len(sizes) == 1 else None
    name_in = path or next(iter(paths), "")
    yield from source.photo(name_in, name, faces, stated_wh=stated_wh, unit=100)


def _size_of(shape: Any) -> tuple[int, int] | None:
    if not isinstance(shape, dict):
        return None
    return known_size(shape.get("original_width"), shape.get("original_height"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_shape(shape: Any) -> AnnotatedFace:
    """A face with its box in hundredths of the photo's sides."""
    value = shape.get("value", shape) if isinstance(shape, dict) else None
    if not isinstance(value, dict):
        raise AnnotationError("a result that is no object")
    classes = _list(value.get("rectanglelabels")) + _list(value.get("polygonlabels"))
    if len(classes) != 1:
        kind = shape.get("type") or "result"
        raise AnnotationError(f"{kind} with {len(classes)} classes, expected a rectangle of one")
    name = str(classes[0])
    if "points" in value:
        points = [p for p in _list(value["points"]) if isinstance(p, list) and len(p) == 2]
        corners = [(parse_number(x, "x"), parse_number(y, "y")) for x, y in points]
        return AnnotatedFace(box_around(corners), name)
    x, y, w, h = (parse_number(value.get(key), key) for key in ("x", "y", "width", "height"))
    if degrees := parse_number(value.get("rotation") or 0, "rotation"):
        # About its upper left corner, in pixels: a photo's sides differ in length.
        across, down = _size_of(shape) or (1, 1)
        box = (x * across, y * down, w * across, h * down)
        x, y, w, h = turn(box, degrees, box[:2])
        return AnnotatedFace((x / across, y / down, w / across, h / down), name)
    return AnnotatedFace((x, y, w, h), name)
