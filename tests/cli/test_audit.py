import csv
import json
import shutil
from pathlib import Path

import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo

RECIPE = """
[lite]
canvas = 64
weights = "none"
batch_size = 8
epochs = 1
validation = 0.0
patience = "none"
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos that the tiny model answers: one with a wrong mask, one with a wrong box."""
    monkeypatch.chdir(tmp_path)
    for index in range(8):
        split = tmp_path / "data" / ("test" if index > 5 else "train")
        split.mkdir(parents=True, exist_ok=True)
        box = "[0, 0, 4, 4]" if index == 3 else "[16, 8, 24, 32]"
        name = f"{index}__{box}__{index % 2 == 0}.png"
        proper = (index % 2 == 0) != (index == 4)
        draw_photo(proper=proper, blue=180 + index).save(split / name)
    (tmp_path / "data" / "train" / "bad__[1, 1, 2, 2]__True.png").write_text("no image")
    return Path("data")


def suspects(folder: Path) -> list[dict[str, str]]:
    with (folder / "suspects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_audit_by_a_model_warns_and_ranks(data: Path, tiny_model: Path, run_cli: RunCli) -> None:
    done = run_cli("audit", data, "--model", tiny_model, "--provider", "cpu", "--out", "a")
    assert done.code == 3
    assert "may have learned these labels" in done.stderr
    rows = suspects(Path("a"))
    assert len(rows) == 8
    assert {(row["filename"], row["suggestion"]) for row in rows[:2]} == {
        ("train/4__[16, 8, 24, 32]__True.png", "flip"),
        ("train/3__[0, 0, 4, 4]__False.png", "box"),
    }
    assert {row["action"] for row in rows} == {""}
    facts = json.loads(Path("a/facts.json").read_text())
    assert len(facts["opinions"]) == 8
    assert [d["filename"] for d in facts["decisions"]] == ["train/bad__[1, 1, 2, 2]__True.png"]
    page = Path("a/report.html").read_text()
    assert "may have learned these labels" in page
    assert "Save decisions" in page


def test_a_judged_list_is_applied_to_a_copy(data: Path, tiny_model: Path, run_cli: RunCli) -> None:
    run_cli("audit", data, "--model", tiny_model, "--provider", "cpu", "--out", "a")
    rows = suspects(Path("a"))
    for row in rows:
        row["action"] = row["suggestion"]
    with Path("a/judged.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    # The audit's folder knows the data set; elsewhere it has to be named.
    done = run_cli("audit", "--apply", "a/judged.csv", "--out", "corrected")
    assert done.code == 0
    assert "corrected: 1 box, 1 flip" in done.stderr
    assert Path("corrected/train/4__[16, 8, 24, 32]__False.png").is_file()
    assert Path("corrected/train/3__[16, 8, 24, 32]__False.png").is_file()
    assert len(list(Path("corrected").rglob("*.png"))) == 9
    again = run_cli("audit", "corrected", "--model", tiny_model, "--out", "b")
    assert again.code == 3
    assert {row["suggestion"] for row in suspects(Path("b"))} == {"keep"}

    shutil.copy("a/judged.csv", "judged.csv")
    assert run_cli("audit", "--apply", "judged.csv", "--out", "c").code == 2
    assert run_cli("audit", data, "--apply", "judged.csv").code == 0
    assert len(list(Path("data-corrected").rglob("*.png"))) == 9
    assert run_cli("audit", data, "--apply", "judged.csv").code == 2


def test_audit_trains_folds_and_tells_of_them(drawn: Path, tmp_path: Path, run_cli: RunCli) -> None:
    (tmp_path / "small.toml").write_text(RECIPE)
    out = tmp_path / "audit"
    done = run_cli("audit", drawn, "--folds", 2, "--recipe", tmp_path / "small.toml", "--out", out)
    assert done.code == 0
    assert "Fold 2 of 2" in done.stderr
    assert len(suspects(out)) == 35
    assert {path.name for path in out.iterdir()} == {
        *("audit.json", "facts.json", "folds", "report.html", "suspects.csv")
    }
    again = run_cli("audit", "--resume", out)
    assert again.code == 0
    assert "train loss" not in again.stderr
    rows = (out / "suspects.csv").read_text().splitlines()
    judged = [rows[0], rows[1].replace('.jpg",,', '.jpg",flip,'), *rows[2:]]
    (out / "suspects.csv").write_text("\n".join(judged) + "\n")
    refused = run_cli("audit", "--resume", out)
    assert refused.code == 2
    assert "holds your decisions" in refused.stderr


def test_an_audit_stopped_before_it_began_has_nothing_to_resume(
    drawn: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskinfer.train.audit.folds.read_pool", stop)
    done = run_cli("audit", drawn, "--out", tmp_path / "a")
    assert done.code == 130
    assert "stopped: before the first network began" in done.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param([], 2, "no data set named: maskinfer audit DATA", id="nothing named"),
        pytest.param(["nowhere"], 2, "nowhere: no such folder", id="no folder"),
        pytest.param(["data", "--folds", "1"], 2, "--folds", id="one fold"),
        pytest.param(["data", "--folds", "9"], 2, "--folds: got 9, expected at most", id="folds"),
        pytest.param(["data", "--recipe", "none.toml"], 2, "--recipe", id="no recipe"),
        pytest.param(["data", "--mixed-precision", "x"], 2, "--mixed-precision", id="precision"),
        pytest.param(["data", "--out", "full"], 2, "add --overwrite", id="taken"),
        pytest.param(["--resume", "full"], 1, "no audit to resume", id="no audit"),
        pytest.param(
            ["data", "--resume", "full"],
            2,
            "data: has no meaning with --resume",
            id="resume and data",
        ),
        pytest.param(["data", "--apply", "no.csv", "--out", "o"], 2, "no such file", id="no list"),
        pytest.param(
            ["data", "--apply", "full/mine.csv", "--out", "o"], 1, "its columns are", id="no list"
        ),
        pytest.param(
            ["data", "--model", "m.onnx", "--folds", "3"], 2, "--folds", id="model and folds"
        ),
        pytest.param(
            ["data", "--apply", "full/mine.csv", "--out", "o", "--epochs", "3"],
            2,
            "--epochs",
            id="apply and epochs",
        ),
        pytest.param(["empty"], 1, "no labelled image", id="empty"),
        pytest.param(["data", "--out", "data/a"], 2, "lies in data", id="within the data"),
    ],
)
def test_audit_refuses_in_one_line(
    data: Path, run_cli: RunCli, arguments: list[str], code: int, words: str
) -> None:
    Path("full").mkdir()
    Path("empty").mkdir()
    Path("full/mine.csv").write_text("mine")
    done = run_cli("audit", *arguments)
    assert done.code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("o").exists()
    assert {path.name for path in Path("full").iterdir()} == {"mine.csv"}
