"""Photos of single faces, each a picture of its own, as data to train on and to measure on.

    python benchmarks/bare_faces.py UNMASKED MASKED more fair

`UNMASKED` holds faces without a mask, named as labelled images are, and `people.csv`,
`filename,race,age,gender`; `MASKED` masks worn properly, of few people, in the order of a film. The
boxes of both are a detector's. Writes `more/train`: four fifths of the first, of every origin and
age, and one in three of the second, with `face_notes.csv`. And `fair/`: the other fifth, in a
folder for each origin, and in `young/` again those under 20 years.
"""

import csv
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from maskinfer.data.folders import list_images
from maskinfer.data.labels import Face, parse_name
from maskinfer.data.side_lists import write_face_notes

_HELD = 5  # one in
_OF_FEW_PEOPLE = 3  # one in
_YOUNG = ("0-2", "3-9", "03-Sep", "10-19", "Oct-19")  # two as a spreadsheet spells them


def main(
    unmasked: Annotated[Path, typer.Argument()],
    masked: Annotated[Path, typer.Argument()],
    more: Annotated[Path, typer.Argument(help="To train on.")],
    fair: Annotated[Path, typer.Argument(help="To measure on.")],
) -> None:
    """Copy images into place."""
    learned = more / "train"
    learned.mkdir(parents=True)
    faces = [
        _copy(masked / name, learned, f"masked-{name}")
        for name in list_images(masked)[::_OF_FEW_PEOPLE]
    ]
    for origin, age, name, held in _people(unmasked):
        if not held:
            faces.append(_copy(unmasked / name, learned, f"unmasked-{name}"))
            continue
        for group in (origin, "young") if age in _YOUNG else (origin,):
            folder = fair / group.replace(" ", "-").lower()
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(unmasked / name, folder / name)
    write_face_notes(learned, faces)


def _people(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """Origin, age, file name, and whether it is held out: a fifth of every origin and age."""
    with (folder / "people.csv").open(newline="") as file:
        rows = sorted((r["race"], r["age"], r["filename"]) for r in csv.DictReader(file))
    seen: dict[str, int] = defaultdict(int)
    for origin, age, name in rows:
        seen[origin] += 1
        yield origin, age, name, seen[origin] % _HELD == 0


def _copy(image: Path, folder: Path, name: str) -> tuple[str, Face]:
    label = parse_name(image.name)
    shutil.copyfile(image, folder / name)
    incorrectly = None if label.proper_mask else False
    return name, Face(label.box_xywh, label.proper_mask, incorrectly, box_known=False)


if __name__ == "__main__":
    typer.run(main)
