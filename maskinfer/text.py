"""Text and values made fit to print and to write: names, CSV cells, strict JSON."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
# Control characters, and those that turn the direction of writing.
_STEERING = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\n")},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}


def printable_name(name: str) -> str:
    r"""Make a file name, or text with one in it, valid UTF-8: other bytes are written as `\xff`."""
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        pass
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold and no file's name
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def recorded_name(name: str) -> str:
    r"""As `printable_name`, but so that no two names are alike in an output.

    Where a name has other bytes, or what looks like one written as `\xff`, its backslashes are
    doubled.
    """
    printed = printable_name(name)
    if printed == name and not _ESCAPED.search(name):
        return name
    return printable_name(name.replace("\\", "\\\\"))


def original_name(recorded: str) -> str:
    """The name that `recorded_name` made this of."""
    if not _ESCAPED.search(recorded):
        return recorded
    escapes = re.compile(rb"\\\\|\\x([0-9a-f]{2})")
    data = escapes.sub(lambda m: bytes.fromhex((m[1] or b"5c").decode()), recorded.encode())
    return data.decode("utf-8", "surrogateescape")


def visible(text: str) -> str:
    r"""Make text fit for a terminal: what would steer it is written as `\x1b`, line feeds stay."""
    return printable_name(text).translate(_STEERING)


def strict_json(value: Any) -> Any:
    """A value as JSON without extensions holds it: no NaN or infinity, and texts that are UTF-8."""
    if isinstance(value, dict):
        return {printable_name(str(name)): strict_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return printable_name(str(value)) if isinstance(value, str | Path) else value


def csv_line(cells: Iterable[str]) -> str:
    """Write one line of a CSV, printable names in it, with its line feed."""
    # By hand: before Python 3.13 the csv module leaves a lone carriage return unquoted.
    return ",".join(quote_cell(printable_name(cell)) for cell in cells) + "\n"


def quote_cell(cell: str) -> str:
    """A cell as it stands in a line of a CSV."""
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number and what it counts: `1 image`, `3 images`, or `3 boxes` by its plural."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def percent(share: float | None) -> str:
    """Format a share as a percentage with one decimal; `none` where nothing was measured."""
    return "none" if share is None else f"{100 * share:.1f} %"


def decimals(figure: float | None) -> str:
    """Format a figure with three decimals; `none` where nothing was measured."""
    return "none" if figure is None else f"{figure:.3f}"


def images_per_second(images: float, seconds: float) -> str:
    """Format a speed as a whole number, or with a decimal where it is slow."""
    speed = images / seconds if seconds > 0 else 0.0
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"
