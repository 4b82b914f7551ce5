from pathlib import Path

import pytest

from maskinfer.data.labels import Face
from maskinfer.data.side_lists import read_other_faces, read_sources
from maskinfer.errors import DatasetError


def test_a_data_set_without_lists_has_none(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == {}
    assert read_other_faces(tmp_path) == {}


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
