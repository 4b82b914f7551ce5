"""Fixtures of the importers."""

from pathlib import Path

import pytest
from support.annotated_folders import TWO_FACES, Faces, make_voc, write

from maskinfer.importers.importing import ImportSettings


@pytest.fixture
def photos() -> dict[str, Faces]:
    return {"a.jpg": TWO_FACES, "b.png": TWO_FACES[:1], "empty.jpg": []}


@pytest.fixture
def settings(tmp_path: Path, photos: dict[str, Faces]) -> ImportSettings:
    src = make_voc(tmp_path / "src", photos)
    write(src / "train.txt", "a\nempty\n")
    write(src / "test.txt", "b\n")
    return ImportSettings("voc", src, tmp_path / "out")
