"""What predict is given, how much of it, and what it says."""

import json
from pathlib import Path

import pytest
from support.cli import RunCli
from support.predictions import read_predictions
from support.tiny_model import draw_photo

from maskinfer.cli import console

OUT = Path("predictions.csv")


@pytest.fixture
def several(folder: Path) -> Path:
    """Folders `photos/a` and `photos/b` of two photos each, and a text file."""
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png", "b/[2].png")):
        (folder / name).parent.mkdir(exist_ok=True)
        draw_photo(blue=120 + number).save(folder / name)
    (folder / "a" / "notes.txt").write_text("no photo")
    return folder


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["photos"], ["a/1.png", "a/2.png", "b/1.png", "b/[2].png"]),
        (["photos/b/[2].png"], ["[2].png"]),
        (["photos/b", "photos/a/2.png"], ["photos/b/1.png", "photos/b/[2].png", "photos/a/2.png"]),
        (["photos/*/1.png"], ["photos/a/1.png", "photos/b/1.png"]),
        (["photos/a/*"], ["photos/a/1.png", "photos/a/2.png"]),
        (["photos/**/2.png", "photos/b"], ["photos/a/2.png", "photos/b/1.png", "photos/b/[2].png"]),
        (["phot*"], ["photos/a/1.png", "photos/a/2.png", "photos/b/1.png", "photos/b/[2].png"]),
    ],
    ids=" ".join,
)
def test_inputs(several: Path, run_cli: RunCli, inputs: list[str], names: list[str]) -> None:
    assert run_cli("predict", *inputs).code == 0
    assert [row.filename for row in read_predictions(OUT)] == names


def test_several_inputs_are_resumed_with_the_same_alone(several: Path, run_cli: RunCli) -> None:
    (several / "b" / "0.png").write_bytes(b"junk")
    assert run_cli("predict", "photos/a", "photos/b").code == 3
    draw_photo(blue=140).save(several / "b" / "0.png")
    done = run_cli("predict", "photos/b", "photos/a", "--retry-failed")
    assert done.code == 2
    assert "was begun with images" in done.stderr
    assert run_cli("predict", "photos/a", "photos/b", "--retry-failed").code == 0
    assert len(read_predictions(OUT)) == 5


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["photos", "nowhere"], "nowhere: no such folder or image"),
        (["photos/*.jpg"], "photos/*.jpg: no such folder or image"),
        (["photos", "s3://bucket/x"], "s3://bucket/x: an address is predicted alone, got 2 inputs"),
        (["photos/a", "photos/b", "--annotate", "photos/b/drawn"], "would be predicted too"),
        (["photos", "--out", "-", "--json", "-"], "--out - and --json -: expected one of them"),
        (["photos", "--limit", "0"], "--limit: got '0', expected at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(several: Path, run_cli: RunCli, inputs: list[str], words: str) -> None:
    done = run_cli("predict", *inputs)
    assert done.code == 2
    assert words in done.stderr
    assert not OUT.exists()


def test_limit(several: Path, run_cli: RunCli) -> None:
    assert run_cli("predict", several, "--limit", 3).code == 0
    assert [row.filename for row in read_predictions(OUT)] == ["a/1.png", "a/2.png", "b/1.png"]
    done = run_cli("predict", several, "--limit", 4, "--resume")
    assert (done.code, "was begun with limit 3, now it is 4" in done.stderr) == (2, True)


def test_json_is_the_summary(several: Path, run_cli: RunCli) -> None:
    done = run_cli("predict", several, "--json", "-")
    figures = json.loads(done.stdout)
    assert (figures["images"], figures["proper"], figures["failed"]) == (4, 4, 0)
    assert (figures["provider"], figures["out"]) == ("cpu", "predictions.csv")
    assert "mask proper" in done.stderr
    assert run_cli("predict", several, "--out", "b.csv", "--json", "b.json").stdout
    assert json.loads(Path("b.json").read_text())["images"] == 4
    assert run_cli("predict", several, "--out", "c.csv", "--json", "b.json").code == 2


def test_quiet_says_what_is_wrong_alone(
    several: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "quiet", False)
    done = run_cli("predict", several, "--quiet")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    done = run_cli("predict", several, "--quiet", "--overwrite", "--json", "-")
    assert (done.stderr, json.loads(done.stdout)["images"]) == ("", 4)
    (several / "0.png").write_bytes(b"junk")
    done = run_cli("predict", several, "-q", "--overwrite")
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr.startswith("warning: 1 of 5 images failed")


def test_one_name_has_one_record(several: Path, run_cli: RunCli) -> None:
    assert run_cli("predict", several, "--out", "p.csv").code == 0
    done = run_cli("predict", several, "--out", "p.jsonl")
    assert done.code == 2
    assert done.stderr.startswith("error: p.meta.json: belongs to p.csv; choose another --out")


def test_progress_without_a_terminal_is_a_line_now_and_then(
    several: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_BETWEEN_LINES", 0)
    lines = run_cli("predict", several, "--batch-size", 1).stderr.splitlines()
    assert lines[1].startswith("predicting: 1 of 4, ")
    assert lines[1].endswith(" left")
