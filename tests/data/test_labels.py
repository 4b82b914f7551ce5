from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskinfer.data.labels import Label, format_name, label_of, parse_name
from maskinfer.errors import LabelError

NUMBERS = st.integers(-(10**9) + 1, 10**9 - 1)
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
IDS = st.text(min_size=1).filter(lambda text: not set(text) & set("/\\\0"))
SUFFIXES = st.from_regex(r"\A\.[A-Za-z0-9]{1,5}\Z")


@given(IDS, BOXES, st.booleans(), SUFFIXES)
@example("__[1, 2, 3, 4]__True.jpg", (0, 0, 1, 1), False, ".jpg")
@example("a\nb", (-5, 0, 999_999_999, 1), True, ".png")
@example("'\"", (0, 0, 0, 0), True, ".JPEG")
@example("[é, 口罩]__", (1, 2, 3, 4), True, ".webp")
def test_parse_reads_back_what_format_writes(
    id_: Any, box_xywh: Any, proper_mask: Any, suffix: Any
) -> None:
    label = Label(id_, box_xywh, proper_mask)

    assert parse_name(format_name(label, suffix)) == label


def test_format_writes_the_name_of_the_report() -> None:
    assert format_name(Label("000190", (70, 83, 100, 102), True)) == (
        "000190__[70, 83, 100, 102]__True.jpg"
    )


@pytest.mark.parametrize(
    ("name", "box_xywh", "proper_mask"),
    [
        ("1__[70,83,100,102]__False.png", (70, 83, 100, 102), False),
        ("1__[ 70 ,83,  100,102 ]__True.JPG", (70, 83, 100, 102), True),
        ("1__[-3, 0, 0, 102]__True.jpg", (-3, 0, 0, 102), True),
        ("1__[007, 0, 0, -0]__True.jpg", (7, 0, 0, 0), True),
        ("1__[+11, 2, 3, 4]__true.jpg", (11, 2, 3, 4), True),
        ("1__[1, 2, 3, 4]__FALSE.jpg", (1, 2, 3, 4), False),
        ("1__[1, 2, 3, 4]__0.jpg", (1, 2, 3, 4), False),
        ("1__[70.5, 83.25, 100.75, 102.0]__1.jpg", (70, 83, 101, 102), True),
    ],
    ids=[
        *("no spaces", "more spaces", "impossible box", "leading zeros", "a sign"),
        *("capitals", "a digit", "fractions"),
    ],
)
def test_parse_accepts_what_can_only_mean_one_thing(
    name: str, box_xywh: tuple[int, int, int, int], proper_mask: bool
) -> None:
    label = parse_name(name)

    assert (label.box_xywh, label.proper_mask) == (box_xywh, proper_mask)
    assert label_of(f"folder/{name}") == label


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "no label"),
        (".jpg", "no label"),
        ("photo.jpg", "no label"),
        ("1_[1, 2, 3, 4]_True.jpg", "no label"),
        ("__[1, 2, 3, 4]__True.jpg", "no label"),
        ("1__[1, 2, 3, 4]__True", "no label"),
        ("1__[1, 2, 3, 4]__True.jpg.part~", "no label"),
        ("1__[1, 2, 3, 4]__True_2.jpg", "no label"),
        ("1__[1, 2, 3]__True.jpg", "box"),
        ("1__[1, 2, 3, 4, 5]__True.jpg", "box"),
        ("1__[]__True.jpg", "box"),
        ("1__[1, 2, 3, ]__True.jpg", "box"),
        ("1__[1, 2, 3., 4]__True.jpg", "box"),
        ("1__[1, 2, nan, 4]__True.jpg", "box"),
        ("1__[1, 2, 3e2, 4]__True.jpg", "box"),
        ("1__[a, b, c, d]__True.jpg", "box"),
        ("1__[1, 2, 3, 1234567890]__True.jpg", "box"),
        ("1__[1, 2, 3, ٤]__True.jpg", "box"),
        ("1__[- 1, 2, 3, 4]__True.jpg", "box"),
        ("1__[1, 2, 3, 4]__yes.jpg", "label"),
        ("1__[1, 2, 3, 4]__.jpg", "label"),
        ("1__[1, 2, 3, 4]__2.jpg", "label"),
    ],
)
def test_parse_says_where_a_name_departs(name: str, fault: str) -> None:
    with pytest.raises(LabelError, match=fault) as caught:
        parse_name(name)

    assert repr(name) in str(caught.value)


@given(st.text() | st.from_regex(r".*__\[.*\]__.*\..*"))
@example("1__[1\n, 2, 3]__True.jpg")
@example("1__[1, 2, 3, 4]__Tr\nue.jpg")
@example("1__[\u2028]__True.jpg")
def test_parse_raises_nothing_but_one_line(name: Any) -> None:
    message = ""
    try:
        parse_name(name)
    except LabelError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@pytest.mark.parametrize(
    ("id_", "box_xywh", "suffix"),
    [
        ("", (1, 2, 3, 4), ".jpg"),
        ("a/b", (1, 2, 3, 4), ".jpg"),
        ("a\\b", (1, 2, 3, 4), ".jpg"),
        ("a\0", (1, 2, 3, 4), ".jpg"),
        ("a", (10**9, 2, 3, 4), ".jpg"),
        ("a", (1, 2, 3, -(10**9)), ".jpg"),
        ("a", (1, 2, 3, 4), "jpg"),
        ("a", (1, 2, 3, 4), ""),
        ("a", (1, 2, 3, 4), ".tar.gz"),
        ("a\nb/", (1, 2, 3, 4), ".jpg"),
    ],
)
def test_format_refuses_what_is_no_file_name(
    id_: str, box_xywh: tuple[int, int, int, int], suffix: str
) -> None:
    with pytest.raises(LabelError) as caught:
        format_name(Label(id_, box_xywh, True), suffix)

    assert len(str(caught.value).splitlines()) == 1
