import pytest

from maskinfer.text import counted


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 boxes"), (1, "1 box"), (2, "2 boxes")], ids=["none", "one", "many"]
)
def test_counted_takes_the_plural_but_for_one(count: int, words: str) -> None:
    assert counted(count, "box", "boxes") == words
    assert counted(count, "image") == words.replace("boxes", "images").replace("box", "image")
