"""The page of `evaluate --report`, of real files and a model whose answers are known."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image
from support.page_reader import Page
from support.tiny_model import draw_photo, write_model

from maskinfer import MaskDetector
from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.evaluation.mistakes import analyse
from maskinfer.report.evaluation_page import evaluation_page
from maskinfer.report.folder import ReportFolder
from maskinfer.runtime.model_file import WorkingPoint

LABEL = "__[16, 8, 24, 32]__"
WORST = "Wrong calls, most confident first; then no face; then wrong boxes"
HOSTILE = [
    f"<img src=x onerror=alert(1)>{LABEL}True.png",
    f"javascript:alert(1){LABEL}True.png",
    f"$x^2$ \\frac{LABEL}False.png",
    f"{{{{ 7 * 7 }}}} & \"q\" 'r'{LABEL}False.png",
    f"_a\nb\t{LABEL}True.png",
]


def photo(green: int) -> Image.Image:
    """A photo that the tiny model calls proper with probability `green` / 255."""
    pixels = np.array(draw_photo())
    pixels[..., 1] = green
    return Image.fromarray(pixels)


def make_report(
    folder: Path, model: Path, out: Path, *, overwrite: bool = False
) -> tuple[Page, dict[str, Any]]:
    detector = MaskDetector(model, "cpu")
    evaluation = evaluate_folder(detector, folder)
    report = ReportFolder.choose(out, "evaluate", datetime(2026, 1, 2, 3, 4), overwrite=overwrite)
    report.write(evaluation_page(evaluation, analyse(evaluation)))
    return Page(report.page), json.loads((out / "facts.json").read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    return photos


def test_page_shows_every_kind_of_mistake(tmp_path: Path, folder: Path, tiny_model: Path) -> None:
    photo(250).save(folder / f"fp{LABEL}False.png")
    photo(5).save(folder / f"fn{LABEL}True.png")
    photo(255).save(folder / f"right{LABEL}True.png")
    photo(130).save(folder / "off__[48, 40, 8, 8]__True.png")
    photo(0).save(folder / "repaired__[16, 8, 99, 99]__False.png")
    photo(0).save(folder / "unlabelled.png")
    (folder / f"broken{LABEL}True.png").write_text("not an image")
    whole = folder / f"cut{LABEL}True.jpg"
    draw_photo((640, 640)).save(whole)
    whole.write_bytes(whole.read_bytes()[:1500])
    page, facts = make_report(folder, tiny_model, tmp_path / "out")

    galleries = {title: [card[0] for card in cards] for title, cards in page.galleries.items()}
    assert galleries["Called proper, labelled improper: most confident first"] == [
        f"fp{LABEL}False.png"
    ]
    assert galleries["Called improper, labelled proper: most confident first"] == [
        f"fn{LABEL}True.png"
    ]
    assert galleries["Lowest IoU of all images"][:2] == [
        "off__[48, 40, 8, 8]__True.png",
        "repaired__[16, 8, 99, 99]__False.png",
    ]
    assert galleries["Called correctly, closest to the threshold"][0].startswith("off")
    assert page.galleries["Called proper, labelled improper: most confident first"][0][1:] == [
        "label: improper",
        "called: proper, 0.980",
        "IoU: 1.00",
    ]
    assert page.tables["Confusion, images"][1:] == [
        ["proper", "2", "1", "0", "0.667"],
        ["improper", "1", "1", "0", "0.500"],
    ]
    worst = page.tables[WORST][1:]
    assert [row[0].partition("_")[0] for row in worst] == ["fp", "fn", "off", "repaired"]
    left_out = page.tables["Labelled images left out"][1:]
    assert [row[0].partition("_")[0] for row in left_out] == ["broken", "cut"]
    assert page.tables["Repaired boxes"][1][2] == "[16, 8, 48, 56]"
    assert "unlabelled.png" in page.tables["Images without a label"][1][0]
    assert "solid blue box is the label's" in page.text
    assert "dashed orange one the model's" in page.text

    cards = [a for tag, a in page.tags if tag == "li" and a.get("class") == "card"]
    assert {card["data-label"] for card in cards} == {"proper", "improper"}
    assert {card["data-correct"] for card in cards} == {"right", "wrong"}
    assert len(page.alts) == 7
    assert any("proper: average precision" in alt for alt in page.alts)
    assert any("2 of 3 below 0.5" in alt or "1 of 3 below 0.5" in alt for alt in page.alts)

    row = next(image for image in facts["images"] if image["filename"].startswith("fp"))
    assert row == {
        "filename": f"fp{LABEL}False.png",
        "label_box_xywh": [16, 8, 24, 32],
        "label": "improper",
        "found_box_xywh": [16, 8, 24, 32],
        "called": "proper",
        "probability": pytest.approx(250 / 255),
        "score": pytest.approx(200 / 255),
        "iou": 1.0,
        "correct": False,
        "brightness": pytest.approx(0.299 * 255 + 0.587 * 250 + 0.114 * 200),
        "box_share": pytest.approx(100 * (24 * 32 / 64**2) ** 0.5),
    }
    assert facts["metrics"]["images"] == len(facts["images"]) == 5
    assert len(facts["bins"]["reliability"]) == 10
    assert len(facts["failures"]) == 1
    assert len(facts["decisions"]) == 2


def test_names_of_files_stay_names(tmp_path: Path, folder: Path, tiny_model: Path) -> None:
    for name in HOSTILE:
        photo(250).save(folder / name)
    raw = os.fsencode(folder) + b"/raw \xff\xfe__[16, 8, 24, 32]__False.png"
    os.link(folder / HOSTILE[0], raw)
    page, facts = make_report(folder, tiny_model, tmp_path / "out")
    page.check_harmless()
    assert "<img src=x onerror=alert(1)>" in page.text
    assert r"raw \xff\xfe__[16, 8, 24, 32]__False.png" in page.text
    assert "{{ 7 * 7 }}" in page.text
    names = {row["filename"] for row in facts["images"]}
    assert set(HOSTILE) < names
    files = [link for link in page.links() if not link.startswith("#")]
    assert files
    for link in files:
        assert (tmp_path / "out" / os.fsdecode(unquote_to_bytes(link))).is_file(), link


@pytest.mark.parametrize("label", [True, False], ids=["proper", "improper"])
@pytest.mark.parametrize("green", [255, 0], ids=["called-proper", "called-improper"])
def test_one_image_makes_a_page(
    tmp_path: Path, folder: Path, tiny_model: Path, label: bool, green: int
) -> None:
    photo(green).save(folder / f"1{LABEL}{label}.png")
    page, facts = make_report(folder, tiny_model, tmp_path / "out")
    wrong = label != (green == 255)
    mistakes = [cards for title, cards in page.galleries.items() if "most confident" in title]
    assert sum(map(bool, mistakes)) == wrong
    assert len(page.alts) == 7
    assert "1 image of" in page.text
    (one,) = facts["images"]
    assert one["correct"] is not wrong
    assert sum(group["images"] for group in facts["bins"]["brightness"]) == 1


def test_images_without_a_predicted_face_have_a_gallery(tmp_path: Path, folder: Path) -> None:
    draw_photo(blue=120).save(folder / f"missed{LABEL}True.png")
    draw_photo(blue=220).save(folder / f"seen{LABEL}True.png")
    model = write_model(tmp_path / "m.onnx", one_face=WorkingPoint(min_score=0.6))
    page, facts = make_report(folder, model, tmp_path / "out")
    assert page.galleries["No face predicted"] == [
        [f"missed{LABEL}True.png", "label: proper", "no face", "IoU: 0.00"]
    ]
    assert page.tables["Confusion, images"][1] == ["proper", "1", "0", "1", "0.500"]
    assert [row[2] for row in page.tables[WORST][1:]] == ["no face"]
    missed = next(row for row in facts["images"] if row["filename"].startswith("missed"))
    assert (missed["called"], missed["found_box_xywh"], missed["score"]) == ("no face", None, None)
    assert facts["metrics"]["confusion"]["proper_no_face"] == 1
    assert facts["choice"] == {"face": "main", "min_score": 0.6, "threshold": 0.5}


def test_nowhere_a_face_makes_a_page(tmp_path: Path, folder: Path) -> None:
    draw_photo(blue=120).save(folder / f"missed{LABEL}True.png")
    model = write_model(tmp_path / "m.onnx", one_face=WorkingPoint(min_score=0.6))
    page, _ = make_report(folder, model, tmp_path / "out")
    assert len(page.galleries["No face predicted"]) == 1


def test_galleries_and_tables_are_bounded(tmp_path: Path, folder: Path, tiny_model: Path) -> None:
    wrong = photo(250)
    wrong.save(folder / f"000{LABEL}False.png")
    for i in range(1, 310):
        os.link(folder / f"000{LABEL}False.png", folder / f"{i:03}{LABEL}False.png")
    page, facts = make_report(folder, tiny_model, tmp_path / "out")
    title = "Called proper, labelled improper: most confident first"
    assert len(page.galleries[title]) == 48
    assert page.counts[title] == "48 of 310"
    assert len(page.tables[WORST]) == 1 + 300
    assert "And 10 more, in facts.json." in page.text
    assert len(facts["images"]) == 310


def test_a_photo_that_is_gone_is_said_to_be(tmp_path: Path, folder: Path, tiny_model: Path) -> None:
    photo(250).save(folder / f"1{LABEL}False.png")
    detector = MaskDetector(tiny_model, "cpu")
    evaluation = evaluate_folder(detector, folder)
    (folder / f"1{LABEL}False.png").unlink()
    report = ReportFolder.choose(tmp_path / "out", "evaluate", datetime.now(), overwrite=False)
    report.write(evaluation_page(evaluation, analyse(evaluation)))
    page = Page(report.page)
    assert "cannot be read" in page.text
    assert len(page.alts) == 3  # nothing is known of its size and brightness


def test_facts_of_a_model_file_that_holds_no_numbers_are_null(tmp_path: Path, folder: Path) -> None:
    photo(250).save(folder / f"1{LABEL}False.png")
    metrics = {"test": {"mean_iou": float("nan"), "loss": [float("inf"), 1.0]}}
    model = write_model(tmp_path / "m.onnx", metrics=metrics)
    _, facts = make_report(folder, model, tmp_path / "out")
    assert facts["model"]["metrics"] == {"test": {"mean_iou": None, "loss": [None, 1.0]}}


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (380, "dark")])
def test_page_fits_and_filters_in_a_browser(
    tmp_path: Path, folder: Path, tiny_model: Path, open_page: Any, width: int, scheme: str
) -> None:
    for name in HOSTILE:
        photo(250).save(folder / name)
    photo(5).save(folder / f"{'long' * 50}{LABEL}True.png")
    make_report(folder, tiny_model, tmp_path / "out")
    page = open_page(tmp_path / "out/report.html", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.select_option("select[name=correct]", "wrong")
    page.select_option("select[name=label]", "improper")
    shown = page.locator(".card:visible")
    assert shown.count() == 4  # two images, each among the wrong calls and the boxes
    assert set(shown.evaluate_all("cards => cards.map(c => c.dataset.label)")) == {"improper"}
