import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.text import counted, printable_name, recorded_name, visible


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 boxes"), (1, "1 box"), (2, "2 boxes")], ids=["none", "one", "many"]
)
def test_counted_takes_the_plural_but_for_one(count: int, words: str) -> None:
    assert counted(count, "box", "boxes") == words
    assert counted(count, "image") == words.replace("boxes", "images").replace("box", "image")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("é ü\n", "é ü\n"),
        ("\x1b[2J\r\t\x9b", r"\x1b[2J\x0d\x09\x9b"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("\udcff", r"\xff"),
    ],
)
def test_visible_text_steers_no_terminal(text: str, printed: str) -> None:
    assert visible(text) == printed


_NAMES = st.lists(st.sampled_from([b"\\", b"x", b"f", b"\xff", b"\\xff", b"a", "é".encode()]))


@given(_NAMES, _NAMES)
def test_no_two_names_are_recorded_alike(one: list[bytes], other: list[bytes]) -> None:
    names = [os.fsdecode(b"".join(parts)) for parts in (one, other)]
    recorded = [recorded_name(name) for name in names]
    assert (recorded[0] == recorded[1]) == (names[0] == names[1])
    assert [printable_name(name) for name in recorded] == recorded


def test_ordinary_names_are_recorded_as_they_are() -> None:
    assert recorded_name("é\\b.jpg") == "é\\b.jpg"
    assert recorded_name("\udcff.jpg") == r"\xff.jpg"
    assert recorded_name(r"\xff.jpg") == r"\\xff.jpg"
