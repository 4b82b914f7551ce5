"""Which photos are held out, and what class names mean."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.annotated_folders import (
    TWO_FACES,
    make_coco,
    make_voc,
    make_yolo,
    names,
    save_photo,
    voc_text,
    write,
)
from support.tables import rows_of

from maskinfer.errors import AnnotationError, UsageError
from maskinfer.importers.importing import ImportSettings, import_annotations


def import_splits(tmp_path: Path, folders: dict[str, str]) -> tuple[dict[str, str], bool]:
    """Import photos that lie in those folders; the split of each, and whether it was drawn."""
    for name, folder in folders.items():
        save_photo(tmp_path / "src" / folder / name, TWO_FACES)
        write(tmp_path / "src" / folder / f"{Path(name).stem}.xml", voc_text(name, TWO_FACES))
    report = import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out"))
    found = {
        Path(row["source"]).name: row["filename"].split("/")[0]
        for row in rows_of(tmp_path / "out" / "sources.csv")
    }
    return found, report.held_out


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        ({"a.jpg": "train", "b.jpg": "test"}, {"a.jpg": "train", "b.jpg": "test"}),
        ({"a.jpg": "train", "b.jpg": "valid"}, {"a.jpg": "train", "b.jpg": "test"}),
        (
            {"a.jpg": "train", "b.jpg": "val", "c.jpg": "test"},
            {"a.jpg": "train", "b.jpg": "train", "c.jpg": "test"},
        ),
        ({"a.jpg": "test"}, {"a.jpg": "test"}),
        ({"a.jpg": "train", "b.jpg": "test", "c.jpg": "rest"}, {"a.jpg": "train", "b.jpg": "test"}),
    ],
    ids=["train and test", "train and valid", "all three", "test alone", "one in none"],
)
def test_splits_of_the_source_are_kept(tmp_path: Path, folders: Any, splits: Any) -> None:
    assert import_splits(tmp_path, folders) == (splits, False)
    skipped = rows_of(tmp_path / "out" / "skipped.csv")
    assert len(skipped) == len(folders) - len(splits)


@pytest.mark.parametrize("folder", ["photos", "train"])
def test_without_test_photos_some_are_held_out(tmp_path: Path, folder: Path) -> None:
    folders = {f"{number}.jpg": folder for number in range(60)}

    splits, held_out = import_splits(tmp_path, folders)

    assert held_out
    assert len(splits) == 60
    assert 3 <= list(splits.values()).count("test") <= 18
    # The draw goes by the name alone: other photos beside it change nothing.
    fewer, _ = import_splits(
        tmp_path / "fewer", {name: folder for name in folders if len(name) == 6}
    )
    assert fewer == {name: splits[name] for name in fewer}


def test_one_photo_of_two_is_held_out(tmp_path: Path) -> None:
    splits, _ = import_splits(tmp_path, {"a.jpg": "photos", "b.jpg": "photos"})

    assert sorted(splits.values()) == ["test", "train"]


def import_drawn(tmp_path: Path, photos: dict[str, int | None]) -> tuple[dict[str, str], str]:
    """Import photos, each drawn from a seed; the split of each, and what is noted."""
    for name, seed in photos.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = np.random.default_rng(seed).integers(0, 255, (10, 20), dtype=np.uint8)
        quality = 60 + zlib.crc32(name.encode()) % 35  # copies differ in their bytes
        picture = Image.fromarray(np.kron(blocks, np.ones((10, 10), np.uint8)))
        picture.save(path, "JPEG", quality=quality)
        write(path.with_suffix(".xml"), voc_text(path.name, TWO_FACES))
    report = import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out"))
    rows = rows_of(tmp_path / "out" / "sources.csv")
    return {row["source"]: row["filename"].split("/")[0] for row in rows}, " ".join(report.notes)


@pytest.mark.parametrize("name", ["photo.jpg", "frame_0001.jpg", "10.jpg", "42.jpg"])
def test_like_names_in_several_folders_are_several_photos(tmp_path: Path, name: str) -> None:
    splits, _ = import_drawn(tmp_path, {f"{f}/{name}": s for s, f in enumerate("abc")})

    assert set(splits.values()) == {"train", "test"}


def test_photos_without_a_face_are_not_held_out(tmp_path: Path) -> None:
    import_drawn(tmp_path, {f"{n}.jpg": n for n in range(8)})
    for n in range(6):
        write(tmp_path / "src" / f"{n}.xml", voc_text(f"{n}.jpg", []))
    (tmp_path / "src" / "0.jpg").write_bytes(b"words")

    report = import_annotations(
        ImportSettings("voc", tmp_path / "src", tmp_path / "out", overwrite=True)
    )

    assert sorted(split for split, _ in report.counts) == ["test", "train"]


def test_derived_copies_stay_together(tmp_path: Path) -> None:
    """However they look: each is drawn from a seed of its own."""
    names = [f"{n}_jpg.rf.{copy:032x}.jpg" for n in range(20) for copy in range(3)]
    splits, _ = import_drawn(tmp_path, {name: seed for seed, name in enumerate(names)})

    by_photo = {n: {splits[m] for m in names if m.startswith(f"{n}_")} for n in range(20)}
    assert all(len(found) == 1 for found in by_photo.values())
    assert set(splits.values()) == {"train", "test"}


def test_near_duplicates_stay_together(tmp_path: Path) -> None:
    names = {f"{letter}{n}.jpg": n for n in range(15) for letter in "abc"}
    splits, _ = import_drawn(tmp_path, names)

    assert all(len({splits[f"{letter}{n}.jpg"] for letter in "abc"}) == 1 for n in range(15))
    assert set(splits.values()) == {"train", "test"}


def test_photos_that_all_look_alike_are_told_by_name(tmp_path: Path) -> None:
    splits, notes = import_drawn(tmp_path, {f"{n}.jpg": 0 for n in range(4)})

    assert set(splits.values()) == {"train", "test"}
    assert "all photos look alike" in notes


def test_copies_of_one_photo_are_not_torn_apart(tmp_path: Path) -> None:
    splits, notes = import_drawn(tmp_path, {"a.rf.1.jpg": 0, "a.rf.2.jpg": 1})

    assert set(splits.values()) == {"train"}
    assert "copies of one" in notes


# Classes


@pytest.mark.parametrize(
    ("name", "proper_mask"),
    [
        ("with_mask", True),
        ("With Mask", True),
        ("face-mask", True),
        ("MASK", True),
        ("without_mask", False),
        ("No-Mask", False),
        ("face", False),
        ("mask_weared_incorrect", False),
        ("improper", False),
    ],
)
def test_usual_class_names_are_known(tmp_path: Path, name: str, proper_mask: bool) -> None:
    photos = {"a.jpg": [((10, 10, 20, 20), name)]}
    settings = ImportSettings("coco", make_coco(tmp_path / "src", photos), tmp_path / "out")

    assert dict(import_annotations(settings).counts) == {("train", proper_mask): 1}


def test_an_unknown_class_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    photos = {"a.jpg": [*TWO_FACES, ((1, 1, 5, 5), "visor"), ((1, 1, 5, 5), "dog")]}
    settings = ImportSettings("voc", make_voc(tmp_path / "src", photos), tmp_path / "out")

    with pytest.raises(AnnotationError, match=r"'visor' \(1 boxes\), 'dog'.*--proper NAME"):
        import_annotations(settings)

    assert names(tmp_path) == ["src"]


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ({"proper": ("VISOR",)}, "000000__[1, 1, 5, 5]__True.jpg"),
        ({"improper": ("visor",)}, "000000__[1, 1, 5, 5]__False.jpg"),
        ({"ignore": ("visor",)}, "000000__[10, 30, 20, 20]__False.jpg"),
        ({"ignore": ("visor",), "proper": ("without mask",)}, "000000__[10, 30, 20, 20]__True.jpg"),
    ],
)
def test_classes_are_given_a_label(tmp_path: Path, option: Any, name: str) -> None:
    photos = {"a.jpg": [*TWO_FACES, ((1, 1, 5, 5), "visor")]}
    settings = ImportSettings("voc", make_voc(tmp_path / "src", photos), tmp_path / "out")

    import_annotations(replace(settings, **option))

    assert names(tmp_path / "out" / "train") == [name]


def test_yolo_classes_without_names_are_given_a_label_by_number(tmp_path: Path) -> None:
    src = make_yolo(tmp_path / "src", {"a.jpg": TWO_FACES})
    (src / "data.yaml").unlink()
    settings = ImportSettings("yolo", src, tmp_path / "out", proper=("0",), improper=("1",))

    import_annotations(settings)

    assert names(tmp_path / "out" / "train") == ["000000__[10, 30, 20, 20]__False.jpg"]


def test_a_class_with_two_meanings_is_refused(settings: Any) -> None:
    with pytest.raises(UsageError, match="'With-Mask' is given two meanings"):
        import_annotations(replace(settings, proper=("with_mask",), ignore=("With-Mask",)))


# The place of the data set


def test_how_masks_are_worn_is_noted_where_the_class_says_so(tmp_path: Path) -> None:
    faces = [
        ((10, 10, 20, 20), "mask_weared_incorrect"),
        ((40, 10, 20, 20), "with_mask"),
        ((10, 40, 20, 20), "Without Mask"),
        ((40, 40, 20, 20), "improper"),
    ]
    save_photo(tmp_path / "src" / "a.jpg", faces)
    write(tmp_path / "src" / "a.xml", voc_text("a.jpg", faces))
    import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out"))
    notes = rows_of(tmp_path / "out" / "face_notes.csv")
    assert {(row["x"], row["y"], row["note"]) for row in notes} == {
        ("10", "10", "worn incorrectly"),
        ("10", "40", "no mask"),
    }
