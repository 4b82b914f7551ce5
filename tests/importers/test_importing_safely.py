"""Where an import may write, and what is left when it stops."""

import errno
from dataclasses import replace
from typing import Any

import pytest
from support.annotated_folders import contents, names, write

from maskinfer.errors import DatasetError, UsageError
from maskinfer.importers.importing import import_annotations


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
