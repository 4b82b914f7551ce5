"""Side lists: what the file names of images have no room for.

- `sources.csv`, `filename,source`: which photo an image was cut from.
- `other_faces.csv`, `filename,x,y,w,h,proper_mask`: an image's faces besides the one in its name.
- `face_notes.csv`, `filename,x,y,w,h,note`: of the face with that box, `worn incorrectly` (a mask
  that leaves nose or mouth bare), `no mask`, or `approximate box` (a detector's). A face may have
  several rows or none. `crowd` is an area with faces that nobody boxed one by one, and `no box`
  means that the image is labelled as a whole, its box being the image.

`filename` is relative to the folder that the list lies in, with `/`, and printable. `maskinfer
import` writes all beside `train/` and `test/`; `maskinfer synth` writes the last two among the
images it draws. Where both places have one, the list among the images prevails for those it names.
A data set needs none. The readers give nothing where there is no list, and raise a `DatasetError`
where it is damaged.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from maskinfer.errors import DatasetError
from maskinfer.files import replacing
from maskinfer.text import csv_line

from .labels import BoxXywh, Face

SOURCES, SOURCES_COLUMNS = "sources.csv", ("filename", "source")
OTHER_FACES = "other_faces.csv"
_OTHER_FACES_COLUMNS = ("filename", "x", "y", "w", "h", "proper_mask")
FACE_NOTES = "face_notes.csv"
_FACE_NOTES_COLUMNS = ("filename", "x", "y", "w", "h", "note")
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")  # as in file names
_MAX_BYTES = 1_000_000_000


class FaceNote(StrEnum):
    """What a face's label has no room for."""

    WORN_INCORRECTLY = "worn incorrectly"
    NO_MASK = "no mask"
    APPROXIMATE_BOX = "approximate box"
    CROWD = "crowd"
    NO_BOX = "no box"


# By image and box.
FaceNotes = dict[str, dict[BoxXywh, frozenset[FaceNote]]]


def read_sources(data: Path) -> dict[str, str]:
    """Which photo each image was cut from."""
    return dict(_rows(data / SOURCES, SOURCES_COLUMNS))


def read_other_faces(data: Path) -> dict[str, tuple[Face, ...]]:
    """The faces besides the one in each image's name."""
    path = data / OTHER_FACES
    faces: dict[str, list[Face]] = {}
    for filename, box_xywh, proper in _rows_of_boxes(path, _OTHER_FACES_COLUMNS):
        if proper not in ("True", "False"):
            raise _damaged(path, f"{proper!r} of {filename}, expected True or False")
        faces.setdefault(filename, []).append(Face(box_xywh, proper == "True"))
    return {filename: tuple(listed) for filename, listed in faces.items()}


def write_other_faces(folder: Path, faces: Iterable[tuple[str, Face]]) -> None:
    """Write what `read_other_faces` reads, of faces with the names of their images."""
    rows = ((name, *map(str, face.box_xywh), str(face.proper_mask)) for name, face in faces)
    write_list(folder / OTHER_FACES, _OTHER_FACES_COLUMNS, rows)


def read_face_notes(data: Path) -> FaceNotes:
    """What is noted of faces."""
    path = data / FACE_NOTES
    notes: FaceNotes = {}
    for filename, box_xywh, note in _rows_of_boxes(path, _FACE_NOTES_COLUMNS):
        if note not in list(FaceNote):
            raise _damaged(path, f"{note!r} of {filename}, expected one of: {', '.join(FaceNote)}")
        of_image = notes.setdefault(filename, {})
        of_image[box_xywh] = of_image.get(box_xywh, frozenset()) | {FaceNote(note)}
    return notes


def write_face_notes(
    folder: Path,
    faces: Iterable[tuple[str, Face]],
    more: Iterable[tuple[str, BoxXywh, FaceNote]] = (),
) -> None:
    """Write what `read_face_notes` reads, of faces with the names of their images.

    What faces do not say is added by `more`, of boxes.
    """
    notes: list[tuple[str, BoxXywh, FaceNote]] = []
    for name, face in faces:
        if face.worn_incorrectly is not None:
            note = FaceNote.WORN_INCORRECTLY if face.worn_incorrectly else FaceNote.NO_MASK
            notes.append((name, face.box_xywh, note))
        if not face.box_known:
            notes.append((name, face.box_xywh, FaceNote.APPROXIMATE_BOX))
    rows = ((name, *map(str, box_xywh), note) for name, box_xywh, note in [*notes, *more])
    write_list(folder / FACE_NOTES, _FACE_NOTES_COLUMNS, rows)


def noted(face: Face, notes: Collection[FaceNote]) -> Face:
    """A face with what is noted of it."""
    if FaceNote.WORN_INCORRECTLY in notes or FaceNote.NO_MASK in notes:
        face = replace(face, worn_incorrectly=FaceNote.WORN_INCORRECTLY in notes)
    vague = {FaceNote.APPROXIMATE_BOX, FaceNote.NO_BOX}
    return replace(face, box_known=vague.isdisjoint(notes))


def write_list(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a list beside its place, then rename it; an `OSError` is the caller's."""
    with replacing(path) as beside:
        beside.write_text("".join(map(csv_line, [columns, *rows])), encoding="utf-8")


@contextmanager
def open_list(path: Path, encoding: str = "utf-8", errors: str = "strict") -> Iterator[TextIO]:
    """Open a list that is not too large to be read whole."""
    if path.stat().st_size > _MAX_BYTES:
        raise _damaged(path, f"larger than {_MAX_BYTES // 10**6} MB")
    with path.open(newline="", encoding=encoding, errors=errors) as file:
        yield file


def _rows_of_boxes(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, BoxXywh, str]]:
    """Name, box and last column of each row."""
    for filename, *numbers, last in _rows(path, columns):
        if not all(map(WHOLE_NUMBER.fullmatch, numbers)):
            what = f"box {', '.join(numbers)} of {filename}, expected four whole numbers"
            raise _damaged(path, what)
        x, y, w, h = map(int, numbers)
        yield filename, (x, y, w, h), last


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[list[str]]:
    if not path.is_file():
        return
    try:
        with open_list(path) as file:
            reader = csv.reader(file)
            if (header := next(reader, [])) != [*columns]:
                what = f"its header is {','.join(header)[:200]}, expected {','.join(columns)}"
                raise _damaged(path, what)
            for row in reader:
                if len(row) != len(columns):
                    what = f"{len(row)} columns, expected {len(columns)}"
                    raise _damaged(path, f"line {reader.line_num} has {what}")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, f"cannot be read ({error})") from error


def _damaged(path: Path, what: str) -> DatasetError:
    """One line, whatever the list contains."""
    return DatasetError(f"{path}: {' '.join(what.splitlines())}")
