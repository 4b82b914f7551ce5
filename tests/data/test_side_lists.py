from pathlib import Path

import pytest
from PIL import Image

from maskinfer.data.dataset import Dataset
from maskinfer.data.labels import Face
from maskinfer.data.side_lists import (
    FACE_NOTES,
    read_face_notes,
    read_other_faces,
    read_sources,
    write_face_notes,
    write_other_faces,
)
from maskinfer.errors import DatasetError


def test_a_data_set_without_lists_has_none(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == {}
    assert read_other_faces(tmp_path) == {}
    assert read_face_notes(tmp_path) == {}


def test_notes_of_faces_join_the_faces_that_have_that_box(tmp_path: Path) -> None:
    name, own = "0__[1, 1, 9, 9]__False.png", Face((1, 1, 9, 9), False, True)
    others = [
        Face((5, 5, 9, 9), False, False, box_known=False),
        Face((2, 2, 9, 9), False),
        Face((3, 3, 9, 9), True, box_known=False),
    ]
    Image.new("RGB", (32, 32)).save(tmp_path / name)
    write_other_faces(tmp_path, [(name, face) for face in others])
    write_face_notes(tmp_path, [(name, face) for face in (own, *others)])

    dataset = Dataset(tmp_path)
    [sample] = dataset.samples("test").samples
    assert sample.faces == (own,)
    assert dataset.other_faces == {name: tuple(others)}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("a.jpg,1,2,3,4,bad", "'bad' of a.jpg, expected one of: worn"),
        ("a.jpg,1,2,3,,no mask", "3, "),
    ],
)
def test_damaged_notes_are_one_line(tmp_path: Path, row: str, complaint: str) -> None:
    (tmp_path / FACE_NOTES).write_text(f"filename,x,y,w,h,note\n{row}\n")
    with pytest.raises(DatasetError, match=complaint):
        read_face_notes(tmp_path)


def test_lists_are_read_by_image(tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_text('filename,source\n"train/a, b.jpg",photos/1.png\n')
    (tmp_path / "other_faces.csv").write_text(
        "filename,x,y,w,h,proper_mask\n"
        "train/a.jpg,1,2,3,4,True\ntest/b.jpg,5,6,7,8,False\ntrain/a.jpg,-9,9,9,9,False\n"
    )
    assert read_sources(tmp_path) == {"train/a, b.jpg": "photos/1.png"}
    assert read_other_faces(tmp_path) == {
        "train/a.jpg": (Face((1, 2, 3, 4), True), Face((-9, 9, 9, 9), False)),
        "test/b.jpg": (Face((5, 6, 7, 8), False),),
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"", "its header is", id="empty"),
        pytest.param(b"filename,x,y,w,h\n", "its header is", id="other-header"),
        pytest.param(b"filename,x,y,w,h,proper_mask\na.jpg,1,2\n", "line 2 has 3", id="short"),
        pytest.param(
            b"filename,x,y,w,h,proper_mask\na.jpg,1,2,3,4.5,True\n", "1, 2, 3, 4.5 of a", id="box"
        ),
        pytest.param(
            b"filename,x,y,w,h,proper_mask\na.jpg,1,2,3,4,yes\n", "'yes' of a.jpg", id="label"
        ),
        pytest.param(b"\xff\xfe\x00", "cannot be read", id="binary"),
    ],
)
def test_damaged_list_is_one_line_that_names_it(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "other_faces.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=complaint) as stop:
        read_other_faces(tmp_path)
    assert "other_faces.csv" in str(stop.value)
    assert "\n" not in str(stop.value)
