import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import nested
from support.predictions import labelled
from support.tiny_model import draw_photo

from maskinfer.curation.correcting import apply_corrections, read_corrections
from maskinfer.curation.opinions import (
    COLUMNS,
    FOUND_COLUMNS,
    Action,
    by_box,
    by_label,
    contradicts,
    opinion_facts,
    suggestion,
    suspicion,
    write_suspects,
)
from maskinfer.errors import DatasetError, MaskinferError, UsageError
from maskinfer.evaluation.labelled import LabelledPrediction

A, B, C = "a__[16, 8, 24, 32]__True.png", "b__[2, 2, 9, 9]__False.png", "c__[1, 1, 5, 5]__True.png"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of three images, with its lists, a note and an image without a label."""
    folder = tmp_path / "my data"
    for split, name in (("train", A), ("train", B), ("test", C)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        draw_photo(blue=120 + len(name)).save(folder / split / name)
    draw_photo().save(folder / "train" / "holiday.png")
    (folder / "README.txt").write_text("mine")
    (folder / "sources.csv").write_text(
        f'filename,source\n"train/{A}",p1.jpg\n"train/{B}",p2.jpg\n'
    )
    (folder / "train" / "other_faces.csv").write_text(
        f'filename,x,y,w,h,proper_mask\n"{B}",1,2,3,4,True\n"{A}",5,6,7,8,False\n'
    )
    return folder


def listed(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["filename,action,found_x,found_y,found_w,found_h", *rows]) + "\n")
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_a_corrected_copy_holds_new_labels_and_all_else(data: Path, tmp_path: Path) -> None:
    before = files(data)
    rows = [f'"train/{A}",flip,,,,', f'"train/{B}",both,3,4,20,30', f'"test/{C}",drop,,,,']
    done = apply_corrections(
        data, read_corrections(listed(tmp_path / "d.csv", *rows)), tmp_path / "out"
    )
    assert files(data) == before
    after = files(tmp_path / "out")
    turned, boxed = "a__[16, 8, 24, 32]__False.png", "b__[3, 4, 20, 30]__True.png"
    assert set(after) == {
        f"train/{turned}",
        f"train/{boxed}",
        "train/holiday.png",
        "train/other_faces.csv",
        "sources.csv",
        "README.txt",
        "corrections.csv",
    }
    assert after[f"train/{turned}"] == before[f"train/{A}"]
    assert after["sources.csv"].decode() == (
        f'filename,source\n"train/{turned}",p1.jpg\n"train/{boxed}",p2.jpg\n'
    )
    assert after["train/other_faces.csv"].decode() == (
        f'filename,x,y,w,h,proper_mask\n"{boxed}",1,2,3,4,True\n"{turned}",5,6,7,8,False\n'
    )
    assert list(csv.reader(after["corrections.csv"].decode().splitlines())) == [
        ["filename", "action", "new_filename"],
        [f"test/{C}", "drop", ""],
        [f"train/{A}", "flip", f"train/{turned}"],
        [f"train/{B}", "both", f"train/{boxed}"],
    ]
    assert done.counts == {Action.flip: 1, Action.both: 1, Action.drop: 1}
    assert done.passed_over == []


def test_a_list_that_changes_nothing_makes_a_whole_copy(data: Path, tmp_path: Path) -> None:
    corrections = read_corrections(listed(tmp_path / "d.csv", f'"train/{A}",,1,1,1,1'))
    apply_corrections(data, corrections, tmp_path / "out")
    after = files(tmp_path / "out")
    assert after.pop("corrections.csv") == b"filename,action,new_filename\n"
    assert after == files(data)


def test_what_cannot_be_copied_is_named(data: Path, tmp_path: Path) -> None:
    os.mkfifo(data / "pipe.jpg")
    (data / "loop").symlink_to(data)
    (data / "test" / "link__[1, 1, 2, 2]__True.png").symlink_to(data / "train" / A)
    done = apply_corrections(data, [], tmp_path / "out")
    assert sorted(done.passed_over) == ["loop", "pipe.jpg"]
    copied = tmp_path / "out" / "test" / "link__[1, 1, 2, 2]__True.png"
    assert copied.readlink() == (data / "train" / A).resolve()
    assert copied.read_bytes() == (data / "train" / A).read_bytes()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "its columns are ", id="empty"),
        pytest.param(
            "name,action\n", "its columns are name,action, expected filename", id="header"
        ),
        pytest.param(
            f'filename,action,action\n"{A}",keep,drop\n', "action among them, once each", id="two"
        ),
        pytest.param(f'filename,action\n"{A}",turn\n', "line 2: action is 'turn'", id="action"),
        pytest.param(f'filename,action\n"{A}",box\n', "line 2: the box is", id="no box"),
        pytest.param(
            f'filename,action\n"{A}",flip\n"{A}",drop\n', "line 3: .* is in line 2", id="twice"
        ),
        pytest.param(
            f'filename,action,found_x,found_y,found_w,found_h\n"{A}",box,1,2,1_0,4\n',
            "the box is '1, 2, 1_0, 4'",
            id="no number",
        ),
        pytest.param(f'filename,action\n"{A}"\n"x,flip', "cannot be read", id="torn"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_line(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_corrections(tmp_path / "d.csv")


def test_nothing_is_written_where_something_is_wrong(data: Path, tmp_path: Path) -> None:
    twin = "b__[2, 2, 9, 9]__True.png"
    draw_photo().save(data / "train" / twin)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    cases = [
        ('"train/gone.png",flip,,,,', "out", "train/gone.png: not in"),
        ('"train/holiday.png",flip,,,,', "out", "cannot be corrected"),
        (f'"train/{B}",flip,,,,', "out", f"2 images would be called train/{twin}"),
        (f'"train/{A}",flip,,,,', "full", "exists, expected a new folder"),
        (f'"train/{A}",box,60,60,10,10', "out", "reaches past the image"),
        (f'"train/{A}",both,1,2,0,4', "out", "has no area"),
        (f'"train/{A}",flip,,,,', "my data/copy", "is never changed"),
        (f'"train/{A}",flip,,,,', ".", "holds the data set"),
    ]
    for row, out, words in cases:
        corrections = read_corrections(listed(tmp_path / "d.csv", row))
        with pytest.raises(MaskinferError, match=re.escape(words)):
            apply_corrections(data, corrections, tmp_path / out)
    assert {path.name for path in tmp_path.iterdir()} == {"d.csv", "full", "my data"}
    with pytest.raises(UsageError, match="no such file"):
        read_corrections(tmp_path / "nowhere.csv")


def test_two_images_may_swap_their_labels(data: Path, tmp_path: Path) -> None:
    twin = "b__[2, 2, 9, 9]__True.png"
    draw_photo(blue=222).save(data / "train" / twin)
    rows = [f'"train/{B}",flip,,,,', f'"train/{twin}",flip,,,,']
    corrections = read_corrections(listed(tmp_path / "d.csv", *rows))
    apply_corrections(data, corrections, tmp_path / "out")
    after = files(tmp_path / "out")
    assert after[f"train/{twin}"] == (data / "train" / B).read_bytes()
    assert after[f"train/{B}"] == (data / "train" / twin).read_bytes()


def predicted(
    name: str, probability: float, box_xywh: tuple[int, int, int, int]
) -> LabelledPrediction:
    return labelled(name, (10, 10, 20, 20), True, box_xywh, probability, 0.9)


def test_doubts_are_ranked_and_suggested() -> None:
    right = predicted("right", 0.95, (10, 10, 20, 20))
    turned = predicted("turned", 0.1, (11, 10, 20, 20))
    moved = predicted("moved", 0.9, (40, 40, 20, 20))
    both = predicted("both", 0.2, (10, 10, 20, 9))
    another = predicted("another face", 0.01, (60, 60, 20, 20))
    ranked = by_label([right, turned, moved, both, another])
    assert [p.filename for p in ranked] == ["turned", "both", "right", "another face", "moved"]
    assert [p.filename for p in by_box([right, turned, both])] == ["both", "turned", "right"]
    suggested = [suggestion(p) for p in (right, turned, moved, both, another)]
    assert suggested == [Action.keep, Action.flip, Action.box, Action.both, Action.box]


def test_the_list_of_suspects_is_one_that_can_be_applied(data: Path, tmp_path: Path) -> None:
    predictions = [
        labelled(f"train/{A}", (16, 8, 24, 32), True, (16, 8, 24, 32), 0.05, 0.9),
        labelled(f"train/{B}", (2, 2, 9, 9), False, (30, 30, 9, 9), 0.2, 0.9),
    ]
    path = tmp_path / "suspects.csv"
    write_suspects(path, predictions)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["suggestion"] for row in rows] == ["box", "flip"]
    assert read_corrections(path) == []
    for row in rows:
        row["action"] = row["suggestion"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    apply_corrections(data, read_corrections(path), tmp_path / "out")
    assert (tmp_path / "out/train/a__[16, 8, 24, 32]__False.png").is_file()
    assert (tmp_path / "out/train/b__[30, 30, 9, 9]__False.png").is_file()


def test_a_data_set_named_like_something_temporary_is_never_touched(tmp_path: Path) -> None:
    data = tmp_path / ".out.partial"
    data.mkdir()
    draw_photo().save(data / A)
    apply_corrections(data, [], tmp_path / "out")
    assert (data / A).is_file()
    assert (tmp_path / "out" / A).is_file()
    assert {path.name for path in tmp_path.iterdir()} == {".out.partial", "out"}


def test_a_second_round_keeps_the_list_of_the_first(data: Path, tmp_path: Path) -> None:
    first = read_corrections(listed(tmp_path / "1.csv", f'"train/{A}",flip,,,,'))
    apply_corrections(data, first, tmp_path / "once")
    second = read_corrections(listed(tmp_path / "2.csv", f'"train/{B}",flip,,,,'))
    apply_corrections(tmp_path / "once", second, tmp_path / "twice")
    assert A in (tmp_path / "twice" / "corrections.csv").read_text()
    assert B in (tmp_path / "twice" / "corrections-2.csv").read_text()


def test_lists_keep_their_bytes(data: Path, tmp_path: Path) -> None:
    text = b'filename,source\n"train/' + A.encode() + b'","caf\xe9,1.jpg"\n'
    (data / "sources.csv").write_bytes(text)
    apply_corrections(data, [], tmp_path / "out")
    assert (tmp_path / "out" / "sources.csv").read_bytes() == text


def test_a_damaged_list_in_the_data_is_named(data: Path, tmp_path: Path) -> None:
    (data / "sources.csv").write_text("x" * 200_000)
    with pytest.raises(DatasetError, match=r"sources.csv: damaged"):
        apply_corrections(data, [], tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"my data"}


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_that_a_list_cannot_tell_apart_are_refused(data: Path, tmp_path: Path) -> None:
    draw_photo().save(tmp_path / "x.png")
    for name in (b"\xff__[1, 1, 5, 5]__True.png", rb"\xff__[1, 1, 5, 5]__True.png"):
        (data / os.fsdecode(name)).write_bytes((tmp_path / "x.png").read_bytes())
    with pytest.raises(DatasetError, match="two images are printed as"):
        apply_corrections(data, [], tmp_path / "out")


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="needs a folder that cannot be listed"
)
def test_a_folder_that_cannot_be_listed_is_no_loss_in_silence(data: Path, tmp_path: Path) -> None:
    (data / "train").chmod(0)
    try:
        with pytest.raises(MaskinferError, match="train"):
            apply_corrections(data, [], tmp_path / "out")
    finally:
        (data / "train").chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="paths are shorter there")
def test_folders_nested_deeper_than_python_calls_are_copied(data: Path, tmp_path: Path) -> None:
    with nested(data, 1200) as folder:
        Path("notes.txt").write_text("deep")
        apply_corrections(data, [], tmp_path / "out")
    copied = (tmp_path / "out" / folder / "notes.txt").read_text()
    subprocess.run(["rm", "-rf", str(tmp_path / "out")], check=True)
    assert copied == "deep"


def test_a_model_is_taken_at_its_own_threshold() -> None:
    strict = labelled("a", (1, 1, 9, 9), True, (1, 1, 9, 9), 0.6, 0.9, threshold=0.7)
    assert contradicts(strict)
    assert suggestion(strict) is Action.flip
    assert not contradicts(predicted("a", 0.6, (10, 10, 20, 20)))


def test_facts_of_an_opinion_keep_their_keys() -> None:
    assert opinion_facts(predicted("a", 0.25, (10, 10, 20, 20))) == {
        "filename": "a",
        "proper_mask": True,
        "box_xywh": (10, 10, 20, 20),
        "probability": 0.25,
        "found_xywh": (10, 10, 20, 20),
        "score": 0.9,
        "threshold": 0.5,
        "self_confidence": 0.25,
        "iou": 1.0,
        "suspicion": 0.75,
        "suggestion": "flip",
    }


def test_an_image_without_a_predicted_face_is_suspicious_and_nothing_is_suggested(
    tmp_path: Path,
) -> None:
    missed = LabelledPrediction("missed", (10, 10, 20, 20), True, None)
    assert suggestion(missed) is Action.keep
    assert suspicion(missed) == 1
    assert not contradicts(missed)
    turned = predicted("turned", 0.1, (11, 10, 20, 20))
    assert [p.filename for p in by_label([missed, turned])] == ["turned", "missed"]
    facts = opinion_facts(missed)
    assert [facts[key] for key in ("probability", "found_xywh", "score")] == [None] * 3
    write_suspects(tmp_path / "suspects.csv", [turned, missed])
    with (tmp_path / "suspects.csv").open(newline="") as file:
        first, _ = csv.DictReader(file)
    assert first["filename"] == "missed"
    assert {first[column] for column in (*FOUND_COLUMNS, "probability", "score")} == {""}
