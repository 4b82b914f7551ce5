import csv
import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.cli import RunCli

from maskinfer.data.cleaning import find_fault
from maskinfer.data.dataset import Dataset
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Face, parse_name
from maskinfer.data.side_lists import read_other_faces
from maskinfer.errors import AnnotationError, DatasetError, UsageError
from maskinfer.importers.importing import ImportSettings, import_annotations

Box = tuple[float, float, float, float]
Faces = list[tuple[Box, str]]  # x, y, w, h and class

SIZE = (200, 100)
TWO_FACES: Faces = [((120, 20, 60, 60), "with_mask"), ((10, 30, 20, 20), "without_mask")]


def save_photo(path: Path, faces: Faces = (), size_wh: tuple[int, int] = SIZE, **options: object):
    """A grey photo with a colour in each face: green where properly masked, else red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size_wh[1], size_wh[0], 3), 128, np.uint8)
    for (x, y, w, h), name in faces:
        colour = (0, 255, 0) if name == "with_mask" else (255, 0, 0)
        pixels[max(0, int(y)) : int(y + h), max(0, int(x)) : int(x + w)] = colour
    Image.fromarray(pixels).save(path, **options)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def voc_text(name: str, faces: Faces, size_wh: tuple[int, int] = SIZE) -> str:
    objects = "".join(
        f"<object><name>{class_name}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
        for (x, y, w, h), class_name in faces
    )
    size = f"<size><width>{size_wh[0]}</width><height>{size_wh[1]}</height></size>"
    return f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"


def make_voc(src: Path, photos: dict[str, Faces]) -> Path:
    for name, faces in photos.items():
        save_photo(src / "images" / name, faces)
        write(src / "annotations" / f"{Path(name).stem}.xml", voc_text(name, faces))
    return src


def make_yolo(src: Path, photos: dict[str, Faces]) -> Path:
    names = sorted({name for faces in photos.values() for _, name in faces})
    write(src / "data.yaml", f"names: {names}\n")
    for photo, faces in photos.items():
        save_photo(src / "images" / photo, faces)
        lines = [
            f"{names.index(name)} {(x + w / 2) / 200} {(y + h / 2) / 100} {w / 200} {h / 100}"
            for (x, y, w, h), name in faces
        ]
        write(src / "labels" / f"{Path(photo).stem}.txt", "\n".join(lines))
    return src


def make_coco(src: Path, photos: dict[str, Faces]) -> Path:
    names = sorted({name for faces in photos.values() for _, name in faces})
    images, annotations = [], []
    for photo, faces in photos.items():
        save_photo(src / "images" / photo, faces)
        images.append({"id": photo, "file_name": photo, "width": 200, "height": 100})
        annotations += [
            {"image_id": photo, "category_id": names.index(name), "bbox": box}
            for box, name in faces
        ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    data = {"images": images, "annotations": annotations, "categories": categories}
    write(src / "coco.json", json.dumps(data))
    return src


MAKERS: dict[str, Callable[[Path, dict[str, Faces]], Path]] = {
    "voc": make_voc,
    "yolo": make_yolo,
    "coco": make_coco,
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def photos() -> dict[str, Faces]:
    return {"a.jpg": TWO_FACES, "b.png": TWO_FACES[:1], "empty.jpg": []}


@pytest.fixture
def settings(tmp_path: Path, photos: dict[str, Faces]) -> ImportSettings:
    src = make_voc(tmp_path / "src", photos)
    write(src / "train.txt", "a\nempty\n")
    write(src / "test.txt", "b\n")
    return ImportSettings("voc", src, tmp_path / "out")


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("face", ["left", "largest", "each"])
def test_every_format_gives_the_same_data_set(
    tmp_path: Path, settings: Any, photos: Any, layout: Any, face: str
) -> None:
    other = MAKERS[layout](tmp_path / "other", photos)
    for name in ("train.txt", "test.txt"):
        write(other / name, (settings.src / name).read_text())

    import_annotations(replace(settings, face=face))
    import_annotations(
        replace(settings, face=face, layout=layout, src=other, out=tmp_path / "out2")
    )

    assert contents(tmp_path / "out") == contents(tmp_path / "out2")


def test_left_keeps_the_photo_and_labels_the_left_most_face(settings: Any) -> None:
    report = import_annotations(settings)

    assert names(settings.out) == [
        "other_faces.csv",
        "repaired.csv",
        "skipped.csv",
        "sources.csv",
        "test",
        "train",
    ]
    assert names(settings.out / "train") == ["000000__[10, 30, 20, 20]__False.jpg"]
    assert names(settings.out / "test") == ["000001__[120, 20, 60, 60]__True.png"]
    assert dict(report.counts) == {("train", False): 1, ("test", True): 1}
    assert rows(settings.out / "sources.csv") == [
        {"filename": "train/000000__[10, 30, 20, 20]__False.jpg", "source": "images/a.jpg"},
        {"filename": "test/000001__[120, 20, 60, 60]__True.png", "source": "images/b.png"},
    ]
    assert rows(settings.out / "skipped.csv") == [
        {"source": "images/empty.jpg", "reason": "no face"}
    ]


def test_faces_that_a_name_leaves_out_are_listed(settings: Any) -> None:
    import_annotations(settings)

    assert read_other_faces(settings.out) == {
        "train/000000__[10, 30, 20, 20]__False.jpg": (Face((120, 20, 60, 60), True),)
    }


def test_crop_lists_the_faces_that_reach_into_it(tmp_path: Path, settings: Any) -> None:
    """Where they lie in the crop, cut off or not."""
    faces: Faces = [((60, 40, 40, 40), "with_mask"), ((105, 40, 40, 40), "without_mask")]
    make_voc(settings.src, {"a.jpg": faces})
    import_annotations(replace(settings, face="each"))

    [(name, [other])] = [
        (name, faces)
        for name, faces in read_other_faces(settings.out).items()
        if name.startswith("train/")
    ]
    label = parse_name(Path(name).name)
    assert label.proper_mask
    x, y, w, h = label.box_xywh
    assert other == Face((x + 45, y, w, h), False)
    assert load_photo(settings.out / name).size_wh[0] < x + 45 + w  # it is cut off


def test_largest_labels_the_largest_face(settings: Any) -> None:
    import_annotations(replace(settings, face="largest"))

    assert names(settings.out / "train") == ["000000__[120, 20, 60, 60]__True.jpg"]


def test_upright_photos_are_copied_byte_for_byte(settings: Any) -> None:
    import_annotations(settings)

    for row in rows(settings.out / "sources.csv"):
        copy, photo = settings.out / row["filename"], settings.src / row["source"]
        assert copy.read_bytes() == photo.read_bytes()


def test_each_face_becomes_a_crop_with_its_own_label(settings: Any) -> None:
    import_annotations(replace(settings, face="each"))

    crops = sorted(settings.out.glob("*/*.jpg"))
    assert len(crops) == 3
    for crop in crops:
        label, photo = parse_name(crop.name), load_photo(crop)
        x, y, w, h = label.box_xywh
        assert find_fault(label.box_xywh, photo.size_wh) is None
        inside = photo.pixels[y + 3 : y + h - 3, x + 3 : x + w - 3].mean(axis=(0, 1))
        expected = (0, 255, 0) if label.proper_mask else (255, 0, 0)
        np.testing.assert_allclose(inside, expected, atol=5)
    assert len({row["source"] for row in rows(settings.out / "sources.csv")}) == 2


def test_small_faces_are_no_crops_and_listed(settings: Any) -> None:
    report = import_annotations(replace(settings, face="each", min_face=21))

    assert sum(report.counts.values()) == 2
    assert {
        "source": "images/a.jpg",
        "reason": "face [10, 30, 20, 20] is smaller than 21 pixels",
    } in rows(settings.out / "skipped.csv")


def test_importing_again_gives_the_same(settings: Any) -> None:
    settings = replace(settings, face="each")
    import_annotations(settings)
    before = contents(settings.out)

    import_annotations(replace(settings, overwrite=True))

    assert contents(settings.out) == before
    assert names(settings.out.parent) == ["out", "src"]


# Boxes


def test_boxes_past_the_border_are_clipped_and_listed(tmp_path: Path) -> None:
    photos = {"a.jpg": [((-10, 90, 60.4, 30), "with_mask")], "b.jpg": TWO_FACES}
    settings = ImportSettings("coco", make_coco(tmp_path / "src", photos), tmp_path / "out")

    import_annotations(settings)

    repaired = rows(settings.out / "repaired.csv")
    assert [Path(row["filename"]).name for row in repaired] == ["000000__[0, 90, 50, 10]__True.jpg"]
    assert repaired[0]["reason"].startswith("negative value in box [-10, 90, 60, 30]")


def test_faces_wholly_outside_are_listed_and_the_next_is_chosen(tmp_path: Path) -> None:
    photos = {"a.jpg": [((-50, 10, 20, 20), "with_mask"), *TWO_FACES], "b.jpg": TWO_FACES}
    settings = ImportSettings("voc", make_voc(tmp_path / "src", photos), tmp_path / "out")

    report = import_annotations(settings)

    assert sum(report.counts.values()) == 2
    assert [item.source for item in report.skipped] == ["images/a.jpg"]
    assert "nothing of it is in the image" in report.skipped[0].reason


@pytest.mark.parametrize("face", ["left", "largest", "each"])
def test_an_imported_data_set_needs_no_cleaning(tmp_path: Path, face: str) -> None:
    rng = np.random.default_rng(0)
    photos = {
        f"{i}.jpg": [
            ((x, y, w, h), "with_mask") for x, y, w, h in rng.uniform(-20, 120, (5, 4)).tolist()
        ]
        for i in range(20)
    }
    settings = ImportSettings("coco", make_coco(tmp_path / "src", photos), tmp_path / "out", face)

    import_annotations(settings)

    for split in ("train", "test"):
        assert Dataset(settings.out).samples("train", split).decisions == []


# EXIF orientation


@pytest.mark.parametrize("stated", ["stored", "upright"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("face", ["left", "each"])
def test_turned_photos_become_upright_with_their_boxes(
    tmp_path: Path, orientation: int, stated: str, face: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored_box = (20, 10, 60, 30)
    path = tmp_path / "src" / "a.jpg"
    save_photo(path, [(stored_box, "with_mask")], exif=exif, quality=95)
    upright = load_photo(path).pixels
    green = upright[..., 1].astype(int) - upright[..., 0] > 128
    ys, xs = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    upright_box = tuple(map(int, (xs[0], ys[0], xs[-1] + 1 - xs[0], ys[-1] + 1 - ys[0])))
    box = stored_box if stated == "stored" else upright_box
    size_wh = SIZE if stated == "stored" else SIZE[::-1]
    write(tmp_path / "src" / "a.xml", voc_text("a.jpg", [(box, "with_mask")], size_wh))

    import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out", face))

    (made,) = (tmp_path / "out").glob("*/*.jpg")
    with Image.open(made) as image:
        assert image.getexif().get(0x0112, 1) == 1
        pixels = np.asarray(image)
    x, y, w, h = parse_name(made.name).box_xywh
    assert (w, h) == (30, 60)
    if face == "left":
        assert pixels.shape == (200, 100, 3)
    np.testing.assert_allclose(
        pixels[y + 4 : y + h - 4, x + 4 : x + w - 4].mean(axis=(0, 1)), (0, 255, 0), atol=5
    )


# Splits


def import_splits(tmp_path: Path, folders: dict[str, str]) -> tuple[dict[str, str], bool]:
    """Import photos that lie in those folders; the split of each, and whether it was drawn."""
    for name, folder in folders.items():
        save_photo(tmp_path / "src" / folder / name, TWO_FACES)
        write(tmp_path / "src" / folder / f"{Path(name).stem}.xml", voc_text(name, TWO_FACES))
    report = import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out"))
    found = {
        Path(row["source"]).name: row["filename"].split("/")[0]
        for row in rows(tmp_path / "out" / "sources.csv")
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
    skipped = rows(tmp_path / "out" / "skipped.csv")
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


def test_a_folder_that_is_in_use_is_refused(settings: Any) -> None:
    write(settings.out / "notes.txt", "mine")

    with pytest.raises(UsageError, match="--overwrite"):
        import_annotations(settings)
    with pytest.raises(UsageError, match=r"no sources\.csv"):
        import_annotations(replace(settings, overwrite=True))

    assert names(settings.out) == ["notes.txt"]


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "train/.hidden", "train/mine__[1, 2, 3, 4]__True.jpg", "more/deep/a.jpg"],
)
def test_files_that_no_import_made_are_never_deleted(settings: Any, name: str) -> None:
    import_annotations(settings)
    write(settings.out / name, "mine")
    write(settings.out / "z.txt", "mine")
    before = contents(settings.out)

    with pytest.raises(UsageError) as caught:
        import_annotations(replace(settings, overwrite=True))

    assert str(caught.value) == (
        f"{settings.out}: holds 2 files that no import made, the first: {name}; move them"
    )
    assert contents(settings.out) == before
    assert names(settings.out.parent) == ["out", "src"]


def test_an_image_that_was_given_another_label_is_never_deleted(settings: Any) -> None:
    import_annotations(settings)
    (image,) = (settings.out / "train").iterdir()
    image.rename(image.with_name(image.name.replace("False", "True")))

    with pytest.raises(UsageError, match="holds 1 files that no import made"):
        import_annotations(replace(settings, overwrite=True))


@pytest.mark.parametrize("damage", [b"", b"\xff\0", b"a,b\n1,2\n"])
def test_a_damaged_list_allows_nothing_to_be_deleted(settings: Any, damage: bytes) -> None:
    import_annotations(settings)
    (settings.out / "sources.csv").write_bytes(damage)

    with pytest.raises(UsageError, match="holds 2 files that no import made, the first: test/0"):
        import_annotations(replace(settings, overwrite=True))


@pytest.mark.parametrize("exists", [False, True])
def test_source_and_data_set_never_lie_in_one_another(settings: Any, exists: bool) -> None:
    inside = settings.src / "images" / "out"
    if exists:
        inside.mkdir()

    with pytest.raises(UsageError, match=r"lies in .*src, which holds the photos to import"):
        import_annotations(replace(settings, out=inside))
    with pytest.raises(UsageError, match="holds the photos to import"):
        import_annotations(replace(settings, out=settings.src.parent / "src" / ".." / "src"))

    assert names(settings.src) == ["annotations", "images", "test.txt", "train.txt"]


def test_an_empty_folder_is_used(settings: Any) -> None:
    settings.out.mkdir()

    import_annotations(settings)

    assert "train" in names(settings.out)


def test_a_file_in_the_place_is_refused(settings: Any) -> None:
    settings.out.touch()

    with pytest.raises(UsageError, match="not a folder"):
        import_annotations(replace(settings, overwrite=True))


def test_the_source_is_never_replaced(settings: Any) -> None:
    write(settings.src / "sources.csv", "")

    for out in (settings.src, settings.src.parent):
        write(out / "sources.csv", "")
        with pytest.raises(UsageError, match="holds the photos"):
            import_annotations(replace(settings, out=out, overwrite=True))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_stopping_half_way_leaves_everything_as_it_was(settings: Any, stop: Any) -> None:
    import_annotations(settings)
    before = contents(settings.out)

    def stop_at_last(done: int, total: int) -> None:
        if done == total:
            raise stop

    for out in (settings.out, settings.out.with_name("new")):
        with pytest.raises(stop):
            import_annotations(replace(settings, out=out, overwrite=True), stop_at_last)

    assert contents(settings.out) == before
    assert names(settings.out.parent) == ["out", "src"]


def test_what_a_killed_import_left_is_cleared(settings: Any) -> None:
    write(settings.out.parent / ".out.replacing" / "new" / "old.jpg", "old")

    import_annotations(settings)

    assert names(settings.out.parent) == ["out", "src"]
    assert len(names(settings.out / "train")) == 1


def test_a_place_that_cannot_be_made_is_refused(settings: Any) -> None:
    (settings.src.parent / "file").touch()

    with pytest.raises(UsageError, match="file is not a folder"):
        import_annotations(replace(settings, out=settings.src.parent / "file" / "out"))


def test_a_disk_that_refuses_is_one_line(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("shutil.copyfile", refuse)
    with pytest.raises(DatasetError, match="out: cannot be written, no space left"):
        import_annotations(settings)
    assert not settings.out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_lists_are_text_whatever_the_names_of_photos(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \r.jpg")
    src = make_voc(tmp_path / "src", {"a.jpg": TWO_FACES, "b.jpg": []})
    (src / "images" / "a.jpg").rename(src / "images" / name)
    (src / "annotations" / "a.xml").rename(src / "annotations" / name.replace("jpg", "xml"))

    import_annotations(ImportSettings("voc", src, tmp_path / "out"))

    assert rows(tmp_path / "out" / "sources.csv")[0]["source"] == "images/caf\\xe9 \r.jpg"
    for path in (tmp_path / "out").glob("*.csv"):
        assert b"\r\n" not in path.read_bytes()
    import_annotations(ImportSettings("voc", src, tmp_path / "out", overwrite=True))


def test_names_that_no_file_can_have_are_listed(tmp_path: Path) -> None:
    src = make_coco(tmp_path / "src", {"a.jpg": TWO_FACES})
    listed = json.loads((src / "coco.json").read_text())
    listed["images"].append({"id": "x", "file_name": "\ud83d.jpg"})
    (src / "coco.json").write_text(json.dumps(listed))

    import_annotations(ImportSettings("coco", src, tmp_path / "out"))

    assert r"\ud83d.jpg" in [row["source"] for row in rows(tmp_path / "out" / "skipped.csv")]


@pytest.mark.parametrize("name", ["ü 口罩.jpg", "a__[1, 2, 3, 4]__True.jpg", "a,b'.jpg"])
def test_odd_names_of_photos_are_kept_in_the_list(tmp_path: Path, name: str) -> None:
    src = make_coco(tmp_path / "src", {name: TWO_FACES})

    import_annotations(ImportSettings("coco", src, tmp_path / "o ü t"))

    assert rows(tmp_path / "o ü t" / "sources.csv")[0]["source"] == f"images/{name}"


# The command


def test_command_says_what_it_made(run_cli: RunCli, settings: Any) -> None:
    done = run_cli("import", "voc", settings.src, "--out", settings.out, "--face", "left")

    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"{settings.out}/train: 1 images, 0 True, 1 False",
        f"{settings.out}/test: 1 images, 1 True, 0 False",
        f"{settings.out}/skipped.csv: 1 photos or faces left out",
    ]


def test_command_says_what_it_repaired_and_held_out(run_cli: RunCli, tmp_path: Path) -> None:
    photos = {f"{i}.jpg": [((-5, 5, 20, 20), "with_mask")] for i in range(3)}
    src = make_voc(tmp_path / "src", photos)

    done = run_cli("import", "voc", src, "--out", tmp_path / "out", "--test-fraction", "0.5")

    assert done.code == 0
    assert "held out 50% by photo" in done.stderr
    assert "repaired.csv: 3 boxes clipped" in done.stderr


@pytest.mark.parametrize("damage", [b"words", None], ids=["header", "pixels"])
@pytest.mark.parametrize("face", ["left", "each"])
def test_command_goes_on_past_an_unreadable_photo(
    run_cli: RunCli, settings: Any, damage: bytes | None, face: str
) -> None:
    bad = settings.src / "images" / "a.jpg"
    bad.write_bytes(bad.read_bytes()[:-600] if damage is None else damage)

    done = run_cli("import", "voc", settings.src, "--out", settings.out, "--face", face)

    assert done.code == 3
    assert "1 of them unreadable photos" in done.stderr
    listed = {row["source"]: row["reason"] for row in rows(settings.out / "skipped.csv")}
    assert listed["images/a.jpg"].startswith("unreadable image: ")
    assert len(rows(settings.out / "sources.csv")) == 1


def test_command_fails_where_nothing_could_be_imported(run_cli: RunCli, tmp_path: Path) -> None:
    src = make_voc(tmp_path / "src", {"a.jpg": []})

    done = run_cli("import", "voc", src, "--out", tmp_path / "out")

    assert done.code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "images/a.jpg: no face" in done.stderr
    assert names(tmp_path) == ["src"]


def test_command_fails_where_no_photo_is_annotated(run_cli: RunCli, tmp_path: Path) -> None:
    src = make_coco(tmp_path / "src", {})

    done = run_cli("import", "coco", src, "--out", tmp_path / "out")

    assert (done.code, len(done.stderr.splitlines())) == (1, 1)
    assert "name no photo" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["voc", "gone", "--out", "new"], "gone: no such folder"),
        (["voc", "src", "--out", "full"], "full: not empty"),
        (["voc", "src", "--out", "new", "--test-fraction", "1"], "test fraction: got 1.0"),
        (["pdf", "src", "--out", "new"], "pdf"),
        (["voc", "src"], "--out"),
        (["voc", "src", "--out", "new", "--face", "right"], "right"),
    ],
)
def test_command_wrong_usage(
    run_cli: RunCli,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    write(settings.src.parent / "full" / "a.txt", "")
    monkeypatch.chdir(settings.src.parent)

    done = run_cli("import", *arguments)

    assert done.code == 2
    assert message in done.stderr
    assert not Path("new").exists()
