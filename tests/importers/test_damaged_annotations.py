"""Annotations of any content: an error of ours, or none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.annotations import coco, photo, read, voc, voc_object

from maskinfer.data.side_lists import read_other_faces
from maskinfer.errors import AnnotationError, DatasetError
from maskinfer.importers.data_yaml import read_class_names
from maskinfer.importers.source import Source
from maskinfer.importers.splits import assign_splits

YOLO_NAMES = "names:\n  0: with_mask\n  1: 'without mask'\n"


VALID = {
    "a.xml": [
        voc(
            voc_object(10, 20, 30, 60),
            voc_object(1.5, 2, "1e1", 7, "without_mask"),
            size="<size><width>100</width><height>80</height></size>",
        ),
        "<?xml version='1.0' encoding='utf-16'?>" + voc(voc_object(10, 20, 30, 60)),
    ],
    "a.txt": ["0 0.5 0.5 0.25 0.5\n", "1 0.1 0.1 0.9 0.1 0.5 0.5\n0 0.5 0.5 1 1\r\n"],
    "a.json": [
        coco(
            [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
            [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 30.5, 40], "iscrowd": 0}],
        )
    ],
    "b.xml": [
        "<annotations><image name='a.jpg' width='100' height='80'>"
        "<box label='with_mask' xtl='10' ytl='20' xbr='40' ybr='60' rotation='9'/>"
        "<polygon label='a' points='1,2;3,4'/></image></annotations>"
    ],
    "b.json": [
        '[{"id": 1, "data": {"image": "/x/a.jpg"}, "annotations": [{"result": [{"value": {"x": 10,'
        '"y": 25, "width": 30, "height": 50, "rotation": 1, "rectanglelabels": ["a"]},'
        '"original_width": 100, "original_height": 80}]}]}]',
    ],
    "a.csv": ["filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,a,10,20,40,60\n"],
    "data.yaml": [
        YOLO_NAMES,
        "train: a.txt\nval: [b, images]\npath: ../x\n",
        "names: [with_mask, 'no mask',]\n",
        'names: {0: a, 1: "b" }\n',
    ],
    "other_faces.csv": ["filename,x,y,w,h,proper_mask\na.jpg,1,2,3,4,True\n"],
    "train.txt": ["a\nimages/b.jpg\n"],
}


LAYOUTS = {"a.xml": "voc", "a.txt": "yolo", "a.json": "coco", "a.csv": "csv"}
LAYOUTS |= {"b.xml": "cvat", "b.json": "labelstudio"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    photo(folder / "a.jpg")
    return folder


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> bytes:
    """A valid text with characters changed, cut out or put in, or with junk behind it."""
    data = bytearray(draw(st.sampled_from(texts)).encode())
    junk = st.sampled_from(
        [b"-1", b"1e999", b"nan", b"9" * 5000, b"null", b"[]", b"{}", b'"', b"<", b"\n", b"../"]
    )
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 12))] = draw(junk | st.binary(max_size=8))
    return bytes(data)


def read_what_there_is(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    messages: list[str] = []
    try:
        if name in LAYOUTS:
            messages = [item.reason for item in read(LAYOUTS[name], folder)[1]]
        else:
            source = Source(folder)
            read_class_names(source)
            assign_splits([], source, 0.1, lambda done, total: None)
            messages = source.notes
            read_other_faces(folder)
    except (AnnotationError, DatasetError) as error:
        messages = [str(error)]
    finally:
        (folder / name).unlink()
    assert all(len(message.splitlines()) == 1 for message in messages)


@pytest.mark.parametrize("name", VALID)
@given(st.data())
def test_damaged_annotations_raise_nothing_but_our_errors(
    folder: Path, name: Any, data: Any
) -> None:
    read_what_there_is(folder, name, data.draw(mutated(VALID[name])))


@pytest.mark.parametrize("name", VALID)
@given(st.binary(max_size=100) | st.text(max_size=50).map(lambda text: text.encode("utf-8")))
def test_random_annotations_raise_nothing_but_our_errors(
    folder: Path, name: Any, data: Any
) -> None:
    read_what_there_is(folder, name, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def objects(*keys: str) -> st.SearchStrategy[object]:
    values = JSON | st.sampled_from([1, "1", "a.jpg", [1, 2, 3, 4]])
    return st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values)) | JSON)


@given(objects("id", "data", "image", "annotations", "result", "value", "rectanglelabels"))
def test_labelstudio_of_any_values_raises_nothing_but_our_errors(folder: Path, tasks: Any) -> None:
    read_what_there_is(folder, "b.json", json.dumps(tasks).encode())


@given(
    objects("id", "file_name", "width", "height"),
    objects("image_id", "category_id", "bbox", "iscrowd"),
    objects("id", "name"),
)
def test_coco_of_any_values_raises_nothing_but_our_errors(
    folder: Path, images: Any, faces: Any, categories: Any
) -> None:
    read_what_there_is(folder, "a.json", coco(images, faces, categories).encode())
