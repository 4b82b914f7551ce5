"""A corrected copy of a data set, made from a list of actions on its labels.

The list is a CSV with the columns `filename` and `action` (see `opinions.Action`) and, where the
action replaces the box, `found_x`, `found_y`, `found_w`, `found_h`: `maskinfer audit` writes it, or
its page saves it. The data set itself is only read.
"""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath

from maskinfer.data.cleaning import find_fault
from maskinfer.data.folders import below, list_images
from maskinfer.data.images import image_size
from maskinfer.data.labels import BoxXywh, format_name, parse_name
from maskinfer.data.side_lists import OTHER_FACES, SOURCES, WHOLE_NUMBER, open_list, write_list
from maskinfer.errors import DatasetError, ImageError, LabelError, UsageError
from maskinfer.files import refuse_inside, replacing_folder
from maskinfer.text import printable_name, quote_cell

from .opinions import FOUND_COLUMNS, Action

# Lists whose first column is an image's name.
_NAMING = frozenset({SOURCES, OTHER_FACES, "repaired.csv"})


@dataclass(frozen=True)
class Correction:
    """What to do about one label, of a printable name: not `keep`; with the new box, if any."""

    filename: str
    action: Action
    box_xywh: BoxXywh | None


@dataclass
class Corrected:
    """How many labels each action was applied to, how many files were copied, and which were not.

    Passed over are links to folders, and what is not a regular file.
    """

    counts: Counter[Action] = field(default_factory=Counter)
    files: int = 0
    passed_over: list[str] = field(default_factory=list)


def read_corrections(path: Path) -> list[Correction]:
    """Read the rows of a list that change something; no such file is a `UsageError`.

    A `DatasetError` names the line where it is not such a list.
    """
    try:
        with open_list(path, encoding="utf-8-sig") as file:
            return list(_corrections(path, csv.DictReader(file, strict=True)))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error


def has_actions(path: Path) -> bool:
    """Whether the column `action` of a list was filled in."""
    try:
        return bool(read_corrections(path))
    except UsageError:
        return False
    except DatasetError:  # not one of our lists, so a user's own
        return True


def _corrections(path: Path, reader: "csv.DictReader[str]") -> Iterator[Correction]:
    columns = reader.fieldnames or []
    if not columns.count("filename") == columns.count("action") == 1:
        raise DatasetError(
            f"{path}: its columns are {','.join(columns)[:200]}, expected filename and action "
            "among them, once each, as maskinfer audit writes"
        )
    seen: dict[str, int] = {}
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        word = (row["action"] or "").strip() or Action.keep
        if word not in list(Action):
            raise DatasetError(f"{where}: action is {word!r}, expected {', '.join(Action)}")
        action = Action(word)
        if action is Action.keep:
            continue
        name = row["filename"] or ""
        if name in seen:
            raise DatasetError(f"{where}: {name} is in line {seen[name]} already")
        seen[name] = reader.line_num
        box = _read_box(where, row) if action in (Action.box, Action.both) else None
        yield Correction(name, action, box)


def _read_box(where: str, row: dict[str, str]) -> BoxXywh:
    cells = [(row.get(column) or "").strip() for column in FOUND_COLUMNS]
    if not all(map(WHOLE_NUMBER.fullmatch, cells)):
        raise DatasetError(
            f"{where}: the box is {', '.join(cells)!r}, expected whole numbers in "
            f"{', '.join(FOUND_COLUMNS)}"
        )
    x, y, w, h = map(int, cells)
    return x, y, w, h


def apply_corrections(data: Path, corrections: list[Correction], out: Path) -> Corrected:
    """Copy a data set, with labels corrected.

    Everything in it is copied, side lists with the new names; what was done is listed in
    `corrections.csv`, in a second round in `corrections-2.csv`. The copy is made beside its place
    and moved there once it is complete. A `UsageError` where `out` is taken or lies in the data
    set; a `DatasetError` where a name is not in the data set, two images would have one name, or
    the copy cannot be written.
    """
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder, expected the data set that was audited")
    refuse_inside(out, data, "which is never changed. Choose another --out")
    refuse_inside(data, out, "so that --out holds the data set. Choose another --out")
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: exists, expected a new folder. Choose another --out")
    new_names = _new_names(data, corrections)
    done = Corrected(Counter(correction.action for correction in corrections))
    rows = (
        (c.filename, c.action, printable_name(new_names[c.filename] or ""))
        for c in sorted(corrections, key=lambda correction: correction.filename)
    )
    try:
        with replacing_folder(out.resolve()) as copy:
            copy.chmod(data.stat().st_mode)
            for path in below(data):
                relative = path.relative_to(data).as_posix()
                if not os.path.isfile(path):  # noqa: PTH113  (False where it cannot be told)
                    done.passed_over.append(relative)
                    continue
                if (new := new_names.get(printable_name(relative), relative)) is None:
                    continue
                target = copy / new
                for parent in reversed(PurePosixPath(new).parents):  # however many
                    (copy / parent).mkdir(exist_ok=True)
                if target.name in _NAMING:
                    _copy_list(data, relative, target, new_names)
                elif path.is_symlink():  # to what it means, wherever the copy lies
                    target.symlink_to(path.resolve())
                else:
                    shutil.copy2(path, target)
                done.files += 1
            names = (f"corrections{f'-{i}' if i > 1 else ''}.csv" for i in count(1))
            free = next(copy / name for name in names if not (copy / name).exists())
            write_list(free, ("filename", "action", "new_filename"), rows)
    except OSError as error:
        file = os.fsdecode(error.filename or "")
        what = f"{file}: cannot be copied" if file else f"{out}: cannot be written"
        raise DatasetError(f"{what}, {error.strerror or error}") from error
    return done


def _new_names(data: Path, corrections: list[Correction]) -> dict[str, str | None]:
    """The new name of each corrected image, by its printable old one; None to leave it out."""
    names: dict[str, str] = {}
    for name in list_images(data):
        if names.setdefault(printable_name(name), name) != name:
            raise DatasetError(
                f"{data}: two images are printed as {printable_name(name)}, and a list cannot tell "
                "them apart; rename one"
            )
    changed: dict[str, str | None] = {}
    for correction in corrections:
        if correction.filename not in names:
            raise DatasetError(f"{correction.filename}: not in {data}; was another one audited?")
        try:
            changed[correction.filename] = _new_name(data, names[correction.filename], correction)
        except (LabelError, ImageError) as error:
            raise DatasetError(f"{correction.filename}: cannot be corrected, {error}") from error
    final = Counter(changed.get(printable, name) for printable, name in names.items())
    for printable, new in changed.items():
        if new is not None and final[new] > 1:
            raise DatasetError(
                f"{printable}: {final[new]} images would be called {new}; "
                "give all of them but one the action drop"
            )
    return changed


def _new_name(data: Path, name: str, correction: Correction) -> str | None:
    if correction.action is Action.drop:
        return None
    path = PurePosixPath(name)
    label = parse_name(path.name)
    if correction.action in (Action.flip, Action.both):
        label = replace(label, proper_mask=not label.proper_mask)
    if correction.box_xywh is not None:
        if fault := find_fault(correction.box_xywh, image_size(data / name)):
            raise DatasetError(f"{correction.filename}: {fault.reason}, expected one inside it")
        label = replace(label, box_xywh=correction.box_xywh)
    return path.with_name(format_name(label, path.suffix)).as_posix()


def _copy_list(data: Path, relative: str, target: Path, new_names: dict[str, str | None]) -> None:
    """Copy a list with the images' new names and without dropped images."""
    folder = PurePosixPath(relative).parent
    path = data / relative
    try:
        with open_list(path, "utf-8", "surrogateescape") as file:
            rows = list(csv.reader(file))
    except csv.Error as error:
        raise DatasetError(f"{path}: damaged ({error})") from error
    kept = []
    for row in rows:
        old = (folder / row[0]).as_posix() if row else ""
        if old in new_names:
            new = new_names[old]
            if new is None:
                continue
            row = [printable_name(PurePosixPath(new).relative_to(folder).as_posix()), *row[1:]]
        kept.append(row)
    text = "".join(",".join(map(quote_cell, row)) + "\n" for row in kept)
    target.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
