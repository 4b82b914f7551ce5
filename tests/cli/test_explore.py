import json
import shutil
from pathlib import Path

import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo


@pytest.fixture
def data(tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A drawn data set with an unreadable file, an impossible box and a copy across splits."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "my data"
    shutil.copytree(drawn, data)
    (data / "train" / "broken__[1, 1, 2, 2]__True.jpg").write_text("no image")
    draw_photo().save(data / "train" / "past__[50, 50, 99, 99]__True.png")
    first = next((data / "train").glob("*.jpg"))
    shutil.copy(first, data / "test" / f"copy{first.name}")
    return Path("my data")


def test_explore_writes_a_page_facts_and_a_summary(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    done = run_cli("explore", data, "--out", "seen", "--model", tiny_model, "--provider", "cpu")
    assert done.code == 3
    assert {path.name for path in Path("seen").iterdir()} == {"report.html", "facts.json"}
    facts = json.loads(Path("seen/facts.json").read_text())
    assert [f["filename"] for f in facts["splits"]["train"]["unreadable"]] == [
        "train/broken__[1, 1, 2, 2]__True.jpg"
    ]
    assert facts["splits"]["train"]["impossible_boxes"][0]["in_training"] == "dropped"
    assert [copies["across"] for copies in facts["copies"]] == [True]
    cells = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    (train,) = (line for line in cells if line[:1] == ["train"])
    assert (train[1], train[-2:]) == ("25", ["1", "1"])
    for words in ("1 photo is in more than one split", "1 file is unreadable", "1 box is imposs"):
        assert words in done.stdout
    page = Path("seen/report.html").read_text()
    assert "Duplicate photos" in page
    assert "dropped" in page
    assert "report: seen/report.html" in done.stderr


def test_explore_asks_no_model_where_it_is_told_so(data: Path, run_cli: RunCli) -> None:
    done = run_cli("explore", data, "--no-model")
    assert done.code == 3
    assert "model:" not in done.stderr
    (folder,) = Path("reports").iterdir()
    assert json.loads((folder / "facts.json").read_text())["model"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param([], 2, "no data set named, and no sample_images/", id="nothing named"),
        pytest.param(["nowhere"], 2, "nowhere: no such folder", id="no folder"),
        pytest.param(["file"], 2, "file: not a folder", id="a file"),
        pytest.param(["empty"], 1, "no image in it that can be read", id="empty"),
        pytest.param(["my data", "--out", "full"], 2, "add --overwrite", id="taken"),
        pytest.param(["my data", "--out", "file"], 2, "file: not a folder", id="out a file"),
        pytest.param(["my data", "--no-model", "--model", "x"], 2, "--no-model", id="two minds"),
        pytest.param(["my data", "--model", "none.onnx"], 2, "none.onnx", id="no model"),
    ],
)
def test_explore_refuses_in_one_line(
    data: Path, run_cli: RunCli, arguments: list[str], code: int, words: str
) -> None:
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    Path("file").write_text("mine")
    done = run_cli("explore", *arguments)
    assert done.code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in Path().iterdir()} == {"empty", "full", "file", "my data"}
