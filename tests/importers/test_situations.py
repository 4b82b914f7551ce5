"""Annotations as people have them: what each source is, and the boxes and splits it must give."""

import json
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.annotations import coco, voc, voc_object, write
from support.tables import rows_of

from maskinfer.data.labels import parse_name
from maskinfer.data.side_lists import read_other_faces
from maskinfer.importers.importing import ImportSettings, import_annotations

BOX, SECOND = (10, 20, 30, 40), (50, 20, 20, 20)
ROW, SECOND_ROW = "0 0.25 0.5 0.3 0.5", "0 0.6 0.375 0.2 0.25"
NAMES = "with_mask\nwithout_mask\n"
OBJECT, SECOND_OBJECT = voc_object(10, 20, 40, 60), voc_object(50, 20, 70, 40)
FIVE = "0.2 0.4 0.3 0.4 0.25 0.5 0.2 0.6 0.3 0.6"  # key points in BOX
WHOLE = (0, 0, 100, 80)
POLYGON = "0 0.1 0.25 0.4 0.25 0.4 0.5 0.4 0.75 0.25 0.75 0.1 0.75 0.1 0.5"
PHOTO = None


def photo(path: Path) -> None:
    """Blocks of grey, others for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    blocks = rng.integers(0, 255, (8, 10), dtype=np.uint8)
    Image.fromarray(np.kron(blocks, np.ones((10, 10), np.uint8))).save(path)


def yolo(**photos: str) -> dict[str, str | None]:
    """`images/` and `labels/` of photos, by their stems."""
    files: dict[str, str | None] = {"classes.txt": NAMES}
    for name, rows in photos.items():
        files |= {f"images/{name}.jpg": PHOTO, f"labels/{name}.txt": rows}
    return files


@dataclass
class Situation:
    """A source, and what an import must make of it.

    Attributes:
        layout: the format asked for.
        files: content by path; a photo where there is none.
        faces: the boxes of each photo, that in its name first.
        splits: of photos, where the source names any.
        listed: parts of reasons in skipped.csv.
        repaired: parts of reasons in repaired.csv.
        said: parts of the notes.
        options: of the settings.
        prepare: what is to be done to the folder, such as linking.
    """

    layout: str
    files: dict[str, Any]
    faces: dict[str, list[tuple[int, ...]]]
    splits: dict[str, str] = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda folder: None


def one(layout: str, files: dict[str, Any], *boxes: tuple[int, ...], **more: Any) -> Situation:
    """A source whose photo `a.jpg` has these boxes."""
    image = next(n for n in files if n.endswith(("a.jpg", "a.JPG", "é.jpg", "a b.jpg")))
    return Situation(layout, files, {image: list(boxes or [BOX])}, **more)


def in_splits(files: dict[str, Any], layout: str = "yolo", **splits: str) -> Situation:
    """A source whose photos, by their stems, belong to those splits."""
    names = {n: Path(n).stem for n, content in files.items() if content is PHOTO}
    return Situation(
        layout,
        files,
        {n: [BOX] for n, stem in names.items() if stem in splits},
        {n: splits[stem] for n, stem in names.items() if stem in splits},
    )


AB = yolo(a=ROW, b=ROW)
ABC = yolo(a=ROW, b=ROW, c=ROW)
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}
FACE = {"image_id": 1, "category_id": 1, "bbox": list(BOX)}
TASK = {
    "id": 1,
    "data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"},
    "annotations": [
        {
            "result": [
                {
                    "type": "rectanglelabels",
                    "original_width": 100,
                    "original_height": 80,
                    "value": {
                        "x": 10,
                        "y": 25,
                        "width": 30,
                        "height": 50,
                        "rotation": 0,
                        "rectanglelabels": ["with_mask"],
                    },
                }
            ]
        }
    ],
}


def cvat(shapes: str, name: str = "a.jpg", subset: str = "") -> str:
    attributes = f'id="0" name="{name}" width="100" height="80" subset="{subset}"'
    return f"<annotations><version>1.1</version><image {attributes}>{shapes}</image></annotations>"


def link(target: str, name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(folder / target, target_is_directory=True)


SITUATIONS = {
    # Rows of YOLO
    "key points": one("yolo", yolo(a=f"{ROW} {FIVE}")),
    "key points, none visible, -1": one("yolo", yolo(a=f"{ROW}{' -1 -1' * 5}")),
    "key points, none visible, 0": one("yolo", yolo(a=f"{ROW}{' 0 0' * 5}")),
    "key points, some visible": one("yolo", yolo(a=f"{ROW} 0.2 0.4 0.3 0.6{' -1 -1' * 3}")),
    "key points with visibility": one(
        "yolo", yolo(a=f"{ROW} 0.2 0.4 2 0.3 0.4 2 0.25 0.5 1 0 0 0 0 0 0")
    ),
    "polygons": one("yolo", yolo(a=POLYGON)),
    "polygons and key points by file": Situation(
        "yolo",
        yolo(a=f"{ROW} {FIVE}", b=POLYGON),
        {"images/a.jpg": [BOX], "images/b.jpg": [BOX]},
    ),
    "a row that may be either": one(
        "yolo",
        yolo(a=f"{ROW}\n0 0.4 0.4 0.5 0.4 0.6 0.45 0.6 0.5 0.5 0.55 0.4 0.5 0.35 0.45"),
        listed=("labels/a.txt:2: may be a polygon or a box with key points",),
    ),
    "a row that may be either, by data.yaml": one(
        "yolo",
        yolo(a="0 0.4 0.4 0.5 0.4 0.6 0.45 0.6 0.5 0.5 0.55 0.4 0.5 0.35 0.45")
        | {"data.yaml": "kpt_shape: [5, 2]\nnames: [with_mask]"},
        (15, 16, 50, 32),
    ),
    "a confidence": one("yolo", yolo(a=f"{ROW} 0.87"), said=("1 row of 6 numbers",)),
    "a bad row among good ones": one(
        "yolo",
        yolo(a=f"{ROW}\n0 0.5 0.5\n0 50 40 10 10\n{SECOND_ROW}"),
        BOX,
        SECOND,
        listed=("labels/a.txt:2: got 3 numbers", "labels/a.txt:3: got '0 50 40 10 10'"),
    ),
    # Splits that the source names
    "data.yaml, lists of any name": in_splits(
        ABC
        | {"data.yaml": "train: lists/one.txt\nval: lists/two.txt\ntest: lists/three.txt\n"}
        | {"lists/one.txt": "./images/a.jpg\n", "lists/two.txt": "/x/images/b.jpg\n"}
        | {"lists/three.txt": "images\\c.jpg\r\n"},
        a="train",
        b="train",
        c="test",
    ),
    "data.yaml, folders of any name": in_splits(
        {"classes.txt": NAMES, "images/one/a.jpg": PHOTO, "labels/one/a.txt": ROW}
        | {"images/two/b.jpg": PHOTO, "labels/two/b.txt": ROW}
        | {"data.yaml": "path: ../datasets/faces\ntrain: images/one\nval: images/two\ntest:\n"},
        a="train",
        b="test",
    ),
    "data.yaml, several of a split": in_splits(
        ABC
        | {"data.yaml": "train: [a.txt, b.txt]\nval: c.txt\n", "a.txt": "images/a.jpg"}
        | {"b.txt": "images/b.jpg", "c.txt": "images/c.jpg"},
        a="train",
        b="train",
        c="test",
    ),
    "data.yaml of Roboflow": in_splits(
        {"data.yaml": "train: ../train/images\nval: ../valid/images\nnames: [with_mask]"}
        | {"train/images/a.jpg": PHOTO, "train/labels/a.txt": ROW}
        | {"valid/images/b.jpg": PHOTO, "valid/labels/b.txt": ROW},
        a="train",
        b="test",
    ),
    "data.yaml, something not there": Situation(
        "yolo",
        AB
        | {"data.yaml": "train: a.txt\nval: b.txt\ntest: gone/images", "a.txt": "images/a.jpg"}
        | {"b.txt": "images/b.jpg\nimages/gone.jpg"},
        {"images/a.jpg": [BOX], "images/b.jpg": [BOX]},
        {"images/a.jpg": "train", "images/b.jpg": "test"},
        listed=("1 name of no image here, the first: 'images/gone.jpg'",),
        said=("data.yaml: test is 'gone/images', and no photo is there", "val is the test part"),
    ),
    "data.yaml, val is train": Situation(
        "yolo",
        AB | {"data.yaml": "train: images\nval: images"},
        {"images/a.jpg": [BOX], "images/b.jpg": [BOX]},
        said=("val names the same photos as train",),
    ),
    "VOC's lists in any case, a level down": in_splits(
        {"VOC2007/JPEGImages/a.jpg": PHOTO, "VOC2007/Annotations/a.xml": voc(OBJECT)}
        | {"VOC2007/JPEGImages/b.jpg": PHOTO, "VOC2007/Annotations/b.xml": voc(OBJECT)}
        | {"VOC2007/ImageSets/Main/Train.txt": "a\n", "VOC2007/ImageSets/Main/Test.txt": "b\n"},
        "voc",
        a="train",
        b="test",
    ),
    "VOC's lists of one class": in_splits(
        {"JPEGImages/a.jpg": PHOTO, "Annotations/a.xml": voc(OBJECT)}
        | {"JPEGImages/b.jpg": PHOTO, "Annotations/b.xml": voc(OBJECT)}
        | {"ImageSets/Main/mask_train.txt": "a  1\n", "ImageSets/Main/mask_val.txt": "b -1\n"},
        "voc",
        a="train",
        b="test",
    ),
    "all three splits": Situation(
        "yolo",
        ABC | {"train.txt": "a", "val.txt": "b", "test.txt": "c"},
        {f"images/{name}.jpg": [BOX] for name in "abc"},
        {"images/a.jpg": "train", "images/b.jpg": "train", "images/c.jpg": "test"},
        said=("names the splits train 1, val 1, test 1: val joins train",),
    ),
    "lists of like names in two folders": Situation(
        "yolo",
        {"classes.txt": NAMES}
        | {f"images/{s}/0.jpg": PHOTO for s in ("x", "y")}
        | {"labels/x/0.txt": ROW, "labels/y/0.txt": SECOND_ROW}
        | {"train.txt": "data/images/x/0.jpg", "test.txt": "data/images/y/0.jpg"},
        {"images/x/0.jpg": [BOX], "images/y/0.jpg": [SECOND]},
        {"images/x/0.jpg": "train", "images/y/0.jpg": "test"},
    ),
    "COCO by the names of its files": in_splits(
        {"all/a.jpg": PHOTO, "all/b.jpg": PHOTO}
        | {"instances_train.json": coco([IMAGE], [FACE])}
        | {"instances_val.json": coco([IMAGE | {"file_name": "b.jpg"}], [FACE])},
        "coco",
        a="train",
        b="test",
    ),
    # Which photo is meant
    "a stale <filename>": Situation(
        "voc",
        {"images/a.jpg": PHOTO, "images/b.jpg": PHOTO}
        | {"annotations/a.xml": voc(OBJECT, filename="b.jpg")}
        | {"annotations/b.xml": voc(SECOND_OBJECT, filename="a.jpg")},
        {"images/a.jpg": [BOX], "images/b.jpg": [SECOND]},
    ),
    "a copy of an annotation": Situation(
        "voc",
        {"images/000.jpg": PHOTO, "annotations/000.xml": voc(OBJECT, filename="000.jpg")}
        | {"annotations/000 (1).xml": voc(SECOND_OBJECT, filename="000.jpg")},
        {"images/000.jpg": [BOX]},
        listed=("images/000.jpg is annotated by another file already",),
    ),
    "the same stem in two splits": Situation(
        "voc",
        {f"images/{s}/0.jpg": PHOTO for s in ("train", "val")}
        | {"annotations/train/0.xml": voc(OBJECT, filename="0.jpg")}
        | {"annotations/val/0.xml": voc(SECOND_OBJECT, filename="0.jpg")},
        {"images/train/0.jpg": [BOX], "images/val/0.jpg": [SECOND]},
        {"images/train/0.jpg": "train", "images/val/0.jpg": "test"},
    ),
    "an annotation of another split's photo": Situation(
        "voc",
        {"images/train/0.jpg": PHOTO, "images/train/1.jpg": PHOTO}
        | {"annotations/train/1.xml": voc(OBJECT, filename="1.jpg")}
        | {"annotations/val/0.xml": voc(OBJECT, filename="0.jpg")},
        {"images/train/1.jpg": [BOX]},
        listed=("in another split: images/train/0.jpg", "no usable annotation"),
    ),
    **{
        f"a name {name!r}": one(
            "voc", {"images/a.jpg": PHOTO, "xml/1.xml": voc(OBJECT, filename=name)}
        )
        for name in (
            "C:\\data\\a.jpg",
            "..\\..\\a.jpg",
            "/home/x/a.jpg",
            "a.JPG",
            "A.jpg",
            "x%2Fa.jpg",
        )
    },
    "a percent-encoded name": one(
        "coco", {"a b.jpg": PHOTO, "a.json": coco([IMAGE | {"file_name": "a%20b.jpg"}], [FACE])}
    ),
    "composed and decomposed accents": one(
        "coco",
        {"é.jpg": PHOTO}
        | {"a.json": coco([IMAGE | {"file_name": unicodedata.normalize("NFD", "é.jpg")}], [FACE])},
    ),
    "endings and folders in capitals": one(
        "yolo", {"Images/a.JPG": PHOTO, "Labels/a.TXT": ROW, "classes.txt": NAMES}
    ),
    "labels in a folder apart": one(
        "yolo",
        {"photos/a.jpg": PHOTO, "../apart/a.txt": ROW, "../apart/classes.txt": NAMES},
        options={"labels": "../apart"},
    ),
    "a linked folder": Situation(
        "yolo",
        {"classes.txt": NAMES, "images/train/a.jpg": PHOTO, "../disk/b.jpg": PHOTO}
        | {"labels/train/a.txt": ROW, "labels/val/b.txt": ROW},
        {"images/train/a.jpg": [BOX], "images/val/b.jpg": [BOX]},
        {"images/train/a.jpg": "train", "images/val/b.jpg": "test"},
        options={"follow_links": True},
        prepare=link("../disk", "images/val"),
    ),
    "a linked folder, not asked for": Situation(
        "yolo",
        {"classes.txt": NAMES, "images/train/a.jpg": PHOTO, "../disk/b.jpg": PHOTO}
        | {"labels/train/a.txt": ROW, "labels/val/b.txt": ROW},
        {"images/train/a.jpg": [BOX]},
        listed=("a link to outside the folder; --follow-links", "no image"),
        prepare=link("../disk", "images/val"),
    ),
    "a linked photo outside": Situation(
        "yolo",
        yolo(a=ROW) | {"labels/b.txt": ROW, "../disk/b.jpg": PHOTO},
        {"images/a.jpg": [BOX]},
        listed=("a link to outside the folder; --follow-links", "no image"),
        prepare=link("../disk/b.jpg", "images/b.jpg"),
    ),
    "a linked photo outside, asked for": Situation(
        "yolo",
        yolo(a=ROW) | {"labels/b.txt": ROW, "../disk/b.jpg": PHOTO},
        {"images/a.jpg": [BOX], "images/b.jpg": [BOX]},
        options={"follow_links": True},
        prepare=link("../disk/b.jpg", "images/b.jpg"),
    ),
    "a link in a circle": one("yolo", yolo(a=ROW), prepare=link(".", "images/again")),
    # Class names
    **{
        f"class names in {name}": one(
            "yolo",
            {"images/a.jpg": PHOTO, "labels/a.txt": "2 0.25 0.5 0.3 0.5", name: "no\n\nmask\n"},
        )
        for name in (
            "classes.txt",
            "images/classes.txt",
            "labels/classes.txt",
            "labels/train/classes.txt",
            "_darknet.labels",
            "train/_darknet.labels",
            "obj.names",
        )
    },
    "data.yaml beside another": one(
        "yolo",
        yolo(a=ROW) | {"args.yaml": "names: [dog]", "data.yaml": "names: [with_mask]"},
    ),
    # Faces that are left out
    "COCO: crowds and strays": one(
        "coco",
        {"a.jpg": PHOTO}
        | {
            "a.json": coco(
                [IMAGE],
                [FACE, FACE | {"iscrowd": 1}, FACE | {"image_id": 7}, FACE | {"bbox": None}],
            )
        },
        listed=(
            "crowd [10, 20, 30, 40] is no face",
            "annotation 2: image_id is '7'",
            "annotation 3: bbox",
        ),
    ),
    "COCO: ids as texts": one(
        "coco",
        {"a.jpg": PHOTO}
        | {"a.json": coco([IMAGE | {"id": "1"}], [FACE | {"image_id": 1.0, "category_id": "1"}])},
    ),
    "an object without a box": one(
        "voc",
        {"a.jpg": PHOTO, "a.xml": voc("<object><name>with_mask</name></object>", OBJECT)},
        listed=("a.xml: object 1: <xmin> is 'None'",),
    ),
    "swapped corners": one(
        "voc",
        {"a.jpg": PHOTO, "a.xml": voc(voc_object(40, 60, 10, 20))},
        repaired=("swapped corners in box [40, 60, -30, -40]",),
    ),
    "negative sizes, of another face too": one(
        "coco",
        {"a.jpg": PHOTO} | {"a.json": coco([IMAGE], [FACE, FACE | {"bbox": [70, 40, -20, -20]}])},
        BOX,
        SECOND,
        repaired=("swapped corners in box [70, 40, -20, -20]",),
    ),
    "fractions for pixels": one(
        "voc",
        {"a.jpg": PHOTO, "a.xml": voc(OBJECT, voc_object(0.1, 0.2, 0.4, 0.6))},
        listed=("box [0.1, 0.2, 0.3, 0.4] is in fractions of the photo, expected pixels",),
    ),
    # Further formats
    "CSV of TensorFlow": in_splits(
        {"train/a.jpg": PHOTO, "test/b.jpg": PHOTO}
        | {
            f"{split}/_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
            f"{name}.jpg,100,80,with_mask,10,20,40,60\n"
            for split, name in (("train", "a"), ("test", "b"))
        },
        "csv",
        a="train",
        b="test",
    ),
    "CSV with other columns": one(
        "csv",
        {"a.jpg": PHOTO, "a.csv": "image;label;x;y;width;height\na.jpg;with_mask;10;20;30;40"},
    ),
    "CSV without a header": one(
        "csv",
        {"a.jpg": PHOTO, "a.csv": "x/a.jpg,10,20,40,60,with_mask\na.jpg,,,,,\n"},
        options={"columns": ("filename", "xmin", "ymin", "xmax", "ymax", "class")},
        listed=("annotated twice",),
    ),
    "CSV with a bad line": one(
        "csv",
        {
            "a.jpg": PHOTO,
            "a.csv": "file,class,x1,y1,x2,y2\na.jpg,mask,1,2,x,4\na.jpg,mask,10,20,40,60",
        },
        listed=("a.csv:2: xmax is 'x'",),
    ),
    "CVAT": one(
        "cvat",
        {"a.jpg": PHOTO}
        | {
            "annotations.xml": cvat(
                '<box label="with_mask" xtl="10" ytl="20" xbr="40" ybr="60" rotation="180"/>'
                '<polygon label="without_mask" points="50,20;70,20;70,40"/>'
                '<points label="nose" points="1,2"/>'
            )
        },
        BOX,
        SECOND,
        listed=("shape 3: a points, expected a box or a polygon",),
    ),
    "Label Studio": one("labelstudio", {"a.jpg": PHOTO, "export.json": json.dumps([TASK])}),
    "Label Studio, reduced": one(
        "labelstudio",
        {"a.jpg": PHOTO}
        | {
            "export.json": json.dumps(
                [
                    {
                        "id": 1,
                        "image": "/data/local-files/?d=photos%2Fa.jpg",
                        "label": [
                            {"x": 10, "y": 25, "width": 30, "height": 50, "rotation": 0}
                            | {"rectanglelabels": ["with_mask"]}
                        ],
                    }
                ]
            )
        },
    ),
    "classes: folders": Situation(
        "classes",
        {"train/With Mask/a.jpg": PHOTO, "without_mask/test/b.jpg": PHOTO, "test/c.jpg": PHOTO},
        {"train/With Mask/a.jpg": [WHOLE], "without_mask/test/b.jpg": [WHOLE]},
        {"train/With Mask/a.jpg": "train", "without_mask/test/b.jpg": "test"},
        listed=("in no folder named by a class",),
    ),
    "classes: folders, recognised": Situation(
        "auto",
        {"with_mask/a.jpg": PHOTO, "without_mask/b.jpg": PHOTO},
        {"with_mask/a.jpg": [WHOLE], "without_mask/b.jpg": [WHOLE]},
        said=("read as classes",),
    ),
    "classes: CSV, recognised": one(
        "auto",
        {"x/a.jpg": PHOTO, "labels.csv": "image;label\na.jpg;no mask\nb.jpg;mask"},
        WHOLE,
        listed=("no image is named 'b.jpg'",),
        said=("read as classes",),
    ),
    "any, recognised": one("auto", yolo(a=ROW), said=("read as yolo",)),
}


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_situation(tmp_path: Path, situation: Situation) -> None:
    src = tmp_path / "src"
    src.mkdir()
    for name, content in situation.files.items():
        write(src / name, content) if isinstance(content, str) else photo(src / name)
    situation.prepare(src)
    options = dict(situation.options)
    if "labels" in options:
        options["labels"] = src / options["labels"]

    settings = ImportSettings(situation.layout, src, tmp_path / "out", **options)  # type: ignore[arg-type]
    report = import_annotations(settings)

    others = read_other_faces(settings.out)
    faces, splits = {}, {}
    for row in rows_of(settings.out / "sources.csv"):
        further = [face.box_xywh for face in others.get(row["filename"], ())]
        faces[row["source"]] = [parse_name(Path(row["filename"]).name).box_xywh, *further]
        splits[row["source"]] = row["filename"].partition("/")[0]
    assert faces == situation.faces
    assert report.held_out == (not situation.splits)
    assert not situation.splits or splits == situation.splits
    skipped = [row["reason"] for row in rows_of(settings.out / "skipped.csv")]
    assert len(skipped) == len(situation.listed), skipped
    assert all(any(part in reason for reason in skipped) for part in situation.listed), skipped
    repaired = [row["reason"] for row in rows_of(settings.out / "repaired.csv")]
    assert len(repaired) == len(situation.repaired), repaired
    assert all(part in "\n".join(repaired) for part in situation.repaired), repaired
    assert all(any(part in note for note in report.notes) for part in situation.said), report.notes
