"""The pages of every face, of real files and a model whose answers are known."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.page_reader import Page
from support.tiny_model import draw_photo, write_model

from maskinfer import MaskDetector
from maskinfer.data.labels import Face
from maskinfer.data.side_lists import write_other_faces
from maskinfer.evaluation.all_faces import evaluate_faces
from maskinfer.evaluation.comparing import AllFacesComparison
from maskinfer.report.all_faces_page import all_faces_page
from maskinfer.report.comparison_page import comparison_page
from maskinfer.report.folder import ReportFolder
from maskinfer.runtime.model_file import WorkingPoint

LABEL = "__[16, 8, 24, 32]__"
SECOND = (44, 44, 16, 16)
CALLED_PROPER = "Someone not properly masked, photo called proper"
CALLED_IMPROPER = "Everyone properly masked, photo called improper"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos of two faces each, the second listed."""
    photos = tmp_path / "photos"
    photos.mkdir()
    others = []

    def put(word: str, second: bool, called: bool, **changes: Any) -> None:
        name = f"{word}{LABEL}True.png"
        seen = {"second_xywh": SECOND, "second_proper": called} | changes
        draw_photo(**seen).save(photos / name)
        others.append((name, Face(SECOND, second)))

    put("right", False, False)
    put("missed", False, False, second_xywh=None)
    put("called improper", True, False)
    put("called proper", False, True)
    put("<img src=x onerror=alert(1)>", True, True)
    put("none", True, True, blue=120)
    write_other_faces(photos, others)
    (photos / f"broken{LABEL}True.png").write_text("not an image")
    return photos


def report_of(tmp_path: Path, page: Any) -> tuple[Page, dict[str, Any]]:
    report = ReportFolder.choose(tmp_path / "out", "evaluate", datetime.now(), overwrite=True)
    report.write(page)
    return Page(report.page), json.loads((tmp_path / "out/facts.json").read_text(encoding="utf-8"))


def evaluated(tmp_path: Path, folder: Path, min_score: float) -> tuple[Page, dict[str, Any]]:
    model = write_model(tmp_path / "m.onnx", all_faces=WorkingPoint(min_score=min_score))
    detector = MaskDetector(model, "cpu", face="all")
    return report_of(tmp_path, all_faces_page(evaluate_faces(detector, folder)))


def test_page_shows_photos_judged_wrong(tmp_path: Path, folder: Path) -> None:
    page, facts = evaluated(tmp_path, folder, 0.3)
    page.check_harmless()
    names = {
        title: [card[0].partition("__")[0] for card in cards]
        for title, cards in page.galleries.items()
    }
    assert set(names[CALLED_PROPER]) == {"missed", "called proper"}
    assert names[CALLED_IMPROPER] == ["called improper"]
    assert names["No face predicted"] == []
    assert set(names["Most faces missed"]) == {"missed", "none"}
    assert names["Most faces invented"] == []
    assert page.galleries[CALLED_IMPROPER][0][1:] == [
        "label: 2 proper, 0 improper",
        "called: 1 proper, 1 improper",
        "0 missed, 0 invented",
    ]
    rows = {row[0]: row[1:] for row in page.tables["Faces by label"][1:]}
    assert rows["any"][:3] == ["12", "10", "10"]
    assert rows["improper"][:3] == ["3", "2", "1"]
    assert page.tables["Photos: is every mask worn properly?"][1:] == [
        ["proper", "2", "1", "0", "0.667"],
        ["improper", "2", "1", "0", "0.333"],
    ]
    assert len(page.alts) == 2
    assert any("16–32 %: 2 of 6" in alt for alt in page.alts)
    cards = [a for tag, a in page.tags if tag == "li" and a.get("class") == "card"]
    assert {card["data-correct"] for card in cards} == {"right", "wrong"}
    assert "Solid boxes are annotated, dashed ones predicted" in page.text
    assert len(facts["photos"]) == 6
    assert page.tables["Labelled images left out"][1][0].startswith("broken")


def test_page_where_hardly_a_face_is_predicted(tmp_path: Path, folder: Path) -> None:
    page, _ = evaluated(tmp_path, folder, 0.99)
    assert len(page.galleries["No face predicted"]) == 6
    (folder / "other_faces.csv").unlink()
    page, _ = evaluated(tmp_path, folder, 0.3)
    assert "The data names one face a photo" in page.text
    assert len(page.galleries["Most faces invented"]) == 4


def test_comparison_shows_photos_that_one_judges_right(tmp_path: Path, folder: Path) -> None:
    a = write_model(tmp_path / "a.onnx", all_faces=WorkingPoint(min_score=0.6))
    b = write_model(tmp_path / "b.onnx", all_faces=WorkingPoint(min_score=0.3))
    detectors = [MaskDetector(model, "cpu", face="all") for model in (a, b)]
    comparison = AllFacesComparison.of(*detectors, folder)
    page, facts = report_of(tmp_path, comparison_page(comparison))
    page.check_harmless()
    names = {
        title: [card[0].partition("__")[0] for card in cards]
        for title, cards in page.galleries.items()
    }
    assert names["Only A is right: furthest apart first"] == ["called improper"]
    assert sorted(names["Only B is right: furthest apart first"]) == ["right"]
    figures = {row[0]: row[1:] for row in page.tables["Figures"][1:]}
    assert figures["photos, accuracy"][:2] == ["0.500", "0.500"]
    assert facts["calls"]["only_b_right"] == 1
    assert "can be told from these 6 images" in page.text


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (380, "dark")])
def test_page_fits_in_a_browser(
    tmp_path: Path, folder: Path, open_page: Any, width: int, scheme: str
) -> None:
    evaluated(tmp_path, folder, 0.3)
    page = open_page(tmp_path / "out/report.html", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
