import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cli import RunCli
from support.tiny_model import draw_photo, write_model

from maskinfer.data.geometry import Geometry
from maskinfer.runtime.model_file import WorkingPoint


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose `test/` has 9 images that B alone calls rightly, and one that A does."""
    monkeypatch.chdir(tmp_path)
    test = tmp_path / "data" / "test"
    test.mkdir(parents=True)
    pixels = np.array(draw_photo())
    pixels[..., 1] = 160
    for i in range(10):
        label = i == 0
        Image.fromarray(pixels).save(test / f"{i}__[16, 8, 24, 32]__{label}.png")
    write_model(tmp_path / "a.onnx", one_face=WorkingPoint(threshold=0.5))
    write_model(tmp_path / "b.onnx", one_face=WorkingPoint(threshold=0.8))
    return Path("data")


def test_compare_says_which_is_better(data: Path, run_cli: RunCli) -> None:
    done = run_cli("compare", "a.onnx", "b.onnx", "--data", data, "--provider", "cpu")
    assert done.code == 0, done.stderr
    cells = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["accuracy", "0.100", "0.900", "+0.800", "+0.192", "to", "+0.964"] in cells
    assert ["mean", "IoU", "1.000", "1.000", "+0.000"] in cells
    assert ["0", "1", "9", "0"] in cells
    assert done.stdout.splitlines()[-1] == ("B is right more often: 9 images against 1, p = 0.021.")
    assert max(map(len, done.stdout.splitlines())) <= 80
    (page,) = Path("reports").glob("compare-*/report.html")
    assert f"report: {page}" in done.stderr
    assert done.stderr.count("model: ") == 2
    facts = json.loads((page.parent / "facts.json").read_text())
    assert facts["calls"]["mcnemar_p"] == 0.021484375
    assert facts["data"] == "data/test"


def test_compare_a_model_with_itself(data: Path, run_cli: RunCli) -> None:
    done = run_cli("compare", "a.onnx", "a.onnx", "--data", data, "--out", "out")
    assert done.code == 0
    assert done.stdout.splitlines()[-1].startswith("No difference in accuracy on these 10 images")
    facts = json.loads(Path("out/facts.json").read_text())
    assert facts["calls"]["mcnemar_p"] == 1
    assert all(figure["b_less_a"] == 0 for figure in facts["differences"].values())


def test_compare_asks_both_models_the_same(data: Path, run_cli: RunCli) -> None:
    arguments = ("compare", "a.onnx", "b.onnx", "--data", data, "--out", "out")
    assert run_cli(*arguments, "--min-score", 0.9, "--threshold", 0.7).code == 0
    facts = json.loads(Path("out/facts.json").read_text())
    choice = {"face": "main", "min_score": 0.9, "threshold": 0.7}
    assert facts["a"]["choice"] == facts["b"]["choice"] == choice
    assert facts["calls"]["both_wrong"] == 10
    assert facts["images"][0]["a"]["box_xywh"] is None


def test_compare_repeats_to_the_letter(data: Path, run_cli: RunCli) -> None:
    outputs = []
    for out in ("one", "two"):
        assert run_cli("compare", "a.onnx", "b.onnx", "--data", data, "--out", out).code == 0
        facts = json.loads(Path(out, "facts.json").read_text())
        outputs.append(
            {name: facts[name] for name in ("calls", "differences", "images", "verdict")}
        )
    assert outputs[0] == outputs[1]


def test_compare_some_images_fail(data: Path, run_cli: RunCli) -> None:
    (data / "test" / "broken__[1, 1, 2, 2]__True.png").write_text("not an image")
    # A face that is gone on a canvas of four pixels.
    draw_photo(box_xywh=(16, 8, 2, 2)).save(data / "test" / "small__[16, 8, 2, 2]__True.png")
    write_model(Path("coarse.onnx"), geometry=Geometry.letterbox(4))
    done = run_cli("compare", "a.onnx", "coarse.onnx", "--data", data, "--out", "out")
    assert done.code == 3
    assert "note: left out 1 image that only A could measure" in done.stderr
    assert "warning: A or B could not measure 2 images" in done.stderr
    assert len(json.loads(Path("out/facts.json").read_text())["images"]) == 10


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["a.onnx"], 2, "error: B: missing", id="one-model"),
        pytest.param(["a.onnx", "no.onnx", "--data", "data"], 2, "no.onnx", id="no-model"),
        pytest.param(["a.onnx", "old.txt", "--data", "data"], 1, "old.txt", id="no-model-file"),
        pytest.param(["a.onnx", "b.onnx"], 2, "maskinfer compare A B --data DIR", id="no-data"),
        pytest.param(["a.onnx", "b.onnx", "--data", "no"], 2, "no: no such folder", id="no-folder"),
        pytest.param(["a.onnx", "b.onnx", "--data", "empty"], 1, "no labelled image", id="empty"),
        pytest.param(
            ["a.onnx", "b.onnx", "--data", "unreadable"], 1, "none of 1 labelled", id="unreadable"
        ),
        pytest.param(
            ["a.onnx", "b.onnx", "--data", "data", "--out", "old.txt"], 2, "not a folder", id="file"
        ),
        pytest.param(
            ["a.onnx", "b.onnx", "--data", "data", "--out", "full"], 2, "--overwrite", id="full"
        ),
    ],
)
def test_compare_refuses_in_one_line(
    data: Path, run_cli: RunCli, arguments: list[str], code: int, words: str
) -> None:
    for name in ("empty", "unreadable", "full"):
        Path(name).mkdir()
    Path("unreadable/1__[1, 1, 2, 2]__True.png").write_text("not an image")
    Path("full/notes.txt").write_text("mine")
    Path("old.txt").write_text("mine")
    done = run_cli("compare", *arguments)
    assert done.code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path().rglob("facts.json"))
    assert not list(Path().rglob("report.html"))
    assert Path("old.txt").read_text() == "mine"
    assert [path.name for path in Path("full").iterdir()] == ["notes.txt"]


def test_compare_overwrites_only_its_own_files(data: Path, run_cli: RunCli) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    arguments = ("compare", "a.onnx", "b.onnx", "--data", data, "--out", "full", "--overwrite")
    assert run_cli(*arguments).code == 0
    assert run_cli(*arguments).code == 0
    names = sorted(path.name for path in Path("full").iterdir())
    assert names == ["facts.json", "notes.txt", "report.html"]


@pytest.mark.parametrize("command", ["compare", "evaluate"])
def test_reports_are_made_without_torch(data: Path, command: str) -> None:
    options = {
        "compare": ["a.onnx", "b.onnx", "--data", "data", "--out", "out"],
        "evaluate": ["data", "--model", "a.onnx", "--report", "out"],
    }
    code = (
        "import sys, contextlib\n"
        "from maskinfer.cli import main\n"
        f"sys.argv = {['maskinfer', command, *options[command]]!r}\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print(sorted({'torch', 'torchvision', 'onnx', 'ray'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert Path("out/report.html").is_file()


def test_compare_every_face_judges_photos(data: Path, run_cli: RunCli) -> None:
    arguments = ("compare", "a.onnx", "b.onnx", "--data", data, "--face", "all", "--out", "out")
    done = run_cli(*arguments, "--threshold", 0.7)
    assert done.code == 0, done.stderr
    cells = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["photos,", "accuracy", "0.900", "0.900", "+0.000", "-0.278", "to", "+0.278"] in cells
    assert ["9", "0", "0", "1"] in cells
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    facts = json.loads(Path("out/facts.json").read_text())
    assert facts["a"]["choice"] == {"face": "all", "min_score": 0.0, "threshold": 0.7}
    assert facts["differences"]["photos_balanced_accuracy"]["b_less_a"] == 0
    assert facts["images"][0]["a"]["called"] == "improper"
    assert Path("out/report.html").is_file()
