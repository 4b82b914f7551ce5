import json
from pathlib import Path

import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo, write_model

from maskinfer.data.labels import Face
from maskinfer.data.side_lists import write_other_faces


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose `test/` holds two right, one wrong, one repaired and two bad images."""
    monkeypatch.chdir(tmp_path)
    test = tmp_path / "data" / "test"
    test.mkdir(parents=True)
    draw_photo().save(test / "1__[16, 8, 24, 32]__True.png")
    draw_photo(proper=False).save(test / "2__[16, 8, 24, 16]__False.png")
    draw_photo().save(test / "3__[16, 8, 24, 32]__False.png")
    draw_photo(box_xywh=(32, 32, 32, 32)).save(test / "4__[32, 32, 99, 99]__True.png")
    (test / "5__[1, 1, 2, 2]__True.png").write_text("not an image")
    draw_photo().save(test / "6.png")
    return Path("data")


def test_evaluate_prints_figures_and_names_what_was_decided(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    done = run_cli("evaluate", data, "--model", tiny_model, "--provider", "cpu")
    assert done.code == 3
    figures = {line[:19].strip(): line[19:].strip() for line in done.stdout.splitlines()}
    assert figures["data"] == "data/test"
    assert figures["images"] == "4"
    assert figures["mean IoU"] == "0.875"
    assert figures["accuracy"] == "75.0 %"
    assert figures["balanced accuracy"] == "75.0 %"
    assert 0 < float(figures["AP50"]) <= 1
    assert 0 <= float(figures["calibration error"]) <= 1
    cells = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["proper", "2", "0", "0", "100.0", "%"] in cells
    assert ["improper", "1", "1", "0", "50.0", "%"] in cells
    assert "note: repaired 1 impossible box." in done.stderr
    assert "note: left out 1 image without a label" in done.stderr
    assert "warning: could not measure 1 labelled image." in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(tiny_model))


@pytest.mark.parametrize("target", ["report.json", "-"])
def test_evaluate_json_holds_everything(
    data: Path, tiny_model: Path, run_cli: RunCli, target: str
) -> None:
    done = run_cli("evaluate", data, "--model", tiny_model, "--provider", "cpu", "--json", target)
    assert done.code == 3
    report = json.loads(done.stdout if target == "-" else Path(target).read_text())
    assert report["data"] == "data/test"
    assert report["model"]["network"] == "tiny"
    assert report["metrics"]["mean_iou"] == 0.875
    assert report["metrics"]["confusion"] == {
        "proper_called_proper": 2,
        "proper_called_improper": 0,
        "improper_called_proper": 1,
        "improper_called_improper": 1,
        "proper_no_face": 0,
        "improper_no_face": 0,
    }
    actions = {decision["filename"]: decision["action"] for decision in report["decisions"]}
    assert actions == {
        "4__[32, 32, 99, 99]__True.png": "repaired",
        "5__[1, 1, 2, 2]__True.png": "dropped",
    }
    assert len(report["unlabelled"]) == 1
    assert not list(Path().glob("*.partial"))


def test_evaluate_takes_the_sample_images_by_default(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    assert run_cli("evaluate", "--model", tiny_model).code == 2
    (data / "test").rename("sample_images")
    assert run_cli("evaluate", "--model", tiny_model).code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param([], 2, "Name one: maskinfer evaluate DATA", id="nothing named"),
        pytest.param(["nowhere"], 2, "nowhere: no such folder", id="no folder"),
        pytest.param(["old.json"], 2, "old.json: not a folder", id="a file"),
        pytest.param(["empty"], 1, "no labelled image", id="empty"),
        pytest.param(["unreadable"], 1, "none of 1 labelled images could be", id="unreadable"),
        pytest.param(["data", "--json", "old.json"], 2, "add --overwrite", id="json exists"),
        pytest.param(["data", "--json", "no/r.json"], 2, "mkdir -p no", id="no parent"),
    ],
)
def test_evaluate_refuses_in_one_line(
    data: Path, tiny_model: Path, run_cli: RunCli, arguments: list[str], code: int, words: str
) -> None:
    Path("empty").mkdir()
    Path("unreadable").mkdir()
    Path("unreadable/1__[1, 1, 2, 2]__True.png").write_text("not an image")
    Path("old.json").write_text("mine")
    done = run_cli("evaluate", *arguments, "--model", tiny_model)
    assert done.code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert Path("old.json").read_text() == "mine"


def test_evaluate_fails_an_image_that_breaks_while_decoding(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    broken = Path("data/test/7__[0, 0, 9, 9]__True.jpg")
    draw_photo((640, 640)).save(broken)
    broken.write_bytes(broken.read_bytes()[:1500])  # its header is whole
    done = run_cli("evaluate", data, "--model", tiny_model, "--json", "-")
    assert done.code == 3
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure["filename"] == broken.name
    assert "truncated" in failure["error"]


def test_evaluate_names_images_by_their_path_from_the_folder(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    (data / "test" / "sub").mkdir()
    draw_photo().save(data / "test" / "sub" / "4__[32, 32, 99, 99]__True.png")
    done = run_cli("evaluate", data, "--model", tiny_model, "--json", "-")
    names = [decision["filename"] for decision in json.loads(done.stdout)["decisions"]]
    assert "4__[32, 32, 99, 99]__True.png" in names
    assert "sub/4__[32, 32, 99, 99]__True.png" in names


def test_evaluate_report_is_a_page_and_facts(data: Path, tiny_model: Path, run_cli: RunCli) -> None:
    arguments = ("evaluate", data, "--model", tiny_model, "--json", "plain.json")
    done = run_cli(*arguments, "--report", "new/report")
    assert done.code == 3
    assert "report: new/report/report.html" in done.stderr
    assert "To see each" not in done.stderr
    assert "accuracy" in done.stdout
    facts = json.loads(Path("new/report/facts.json").read_text())
    plain = json.loads(Path("plain.json").read_text())
    assert {name: facts[name] for name in plain} == plain
    assert set(facts) - set(plain) == {"bins", "images"}
    assert "3__[16, 8, 24, 32]__False.png" in Path("new/report/report.html").read_text()
    assert sorted(path.name for path in Path("new/report").iterdir()) == [
        "facts.json",
        "report.html",
    ]

    done = run_cli("evaluate", data, "--model", tiny_model, "--report", "new/report")
    assert done.code == 2
    assert "new/report: not empty" in done.stderr
    arguments = ("evaluate", data, "--model", tiny_model, "--report", "new/report", "--overwrite")
    assert run_cli(*arguments).code == 3


@pytest.mark.parametrize(
    ("report", "words"),
    [
        pytest.param("old.json", "old.json: not a folder", id="a-file"),
        pytest.param("data", "data: not empty", id="holds-something"),
        pytest.param("old.json/in", "old.json/in: old.json is not a folder", id="in-a-file"),
    ],
)
def test_evaluate_refuses_a_report_folder_before_any_work(
    data: Path, tiny_model: Path, run_cli: RunCli, report: str, words: str
) -> None:
    Path("old.json").write_text("mine")
    done = run_cli("evaluate", data, "--model", tiny_model, "--report", report)
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert not done.stdout


def test_evaluate_does_not_write_two_things_into_one_file(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    Path("r").mkdir()
    done = run_cli(
        "evaluate", data, "--model", tiny_model, "--report", "r", "--json", "r/facts.json"
    )
    assert done.code == 2
    assert "is a file of the report" in done.stderr
    assert list(Path("r").iterdir()) == []


def test_evaluate_counts_no_face_as_a_miss(data: Path, tiny_model: Path, run_cli: RunCli) -> None:
    arguments = ("evaluate", data, "--model", tiny_model, "--json", "-")
    done = run_cli(*arguments, "--min-score", 0.99, "--threshold", 0.7, "--face", "best")
    assert done.code == 3
    report = json.loads(done.stdout)
    assert report["choice"] == {"face": "best", "min_score": 0.99, "threshold": 0.7}
    assert report["metrics"]["accuracy"] == report["metrics"]["mean_iou"] == 0
    assert report["metrics"]["calibration_error"] is None
    cells = [line.replace("│", " ").split() for line in done.stderr.splitlines()]
    assert ["proper", "0", "0", "2", "0.0", "%"] in cells
    assert ["calibration", "error", "none"] in cells


def list_faces(folder: Path) -> None:
    """A photo of two faces, the second listed and without a proper mask."""
    name = "8__[16, 8, 24, 32]__True.png"
    draw_photo(second_xywh=(44, 44, 16, 16)).save(folder / name)
    write_other_faces(folder, [(name, Face((44, 44, 16, 16), proper_mask=False))])


def test_evaluate_every_face_prints_faces_and_photos(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    list_faces(data / "test")
    arguments = ("evaluate", data, "--model", tiny_model, "--face", "all", "--min-score", 0.3)
    done = run_cli(*arguments, "--report", "out", "--json", "all.json")
    assert done.code == 3
    figures = {line[:21].strip(): line[21:].strip() for line in done.stdout.splitlines()}
    assert figures["photos"] == "5"
    assert figures["faces"] == "6"
    assert figures["photos judged right"] == "80.0 %"
    assert figures["counted"] == "score >= 0.300, proper from 0.500"
    cells = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["any", "6", "6", "1.000", "1.000", "1.000"] in cells
    assert ["worn", "properly", "2", "0", "0", "100.0", "%"] in cells
    assert ["not", "so", "1", "2", "0", "66.7", "%"] in cells
    assert "note: repaired 1 impossible box." in done.stderr
    assert "names one face a photo" not in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(tiny_model))
    facts = json.loads(Path("out/facts.json").read_text())
    assert facts == json.loads(Path("all.json").read_text())
    assert len(facts["photos"]) == 5


def test_evaluate_every_face_notes_that_none_is_listed(
    data: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    done = run_cli("evaluate", data, "--model", tiny_model, "--face", "all", "--json", "-")
    assert done.code == 3
    assert "note: the data names one face a photo" in done.stderr
    assert json.loads(done.stdout)["metrics"]["photos"] == 4


def test_evaluate_every_face_of_a_model_that_finds_one_is_refused(
    data: Path, run_cli: RunCli
) -> None:
    write_model(Path("one.onnx"), faces=1, network="resnet")
    done = run_cli("evaluate", data, "--model", "one.onnx", "--face", "all")
    assert done.code == 2
    assert "this resnet finds one face a photo" in done.stderr
