"""Reading the tables that commands write."""

import csv
from pathlib import Path


def rows_of(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV by the names in its header."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
