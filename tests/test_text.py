import pytest

from maskinfer.text import counted, visible


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
