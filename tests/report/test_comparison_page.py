"""The page of `compare`, of real files and models whose answers are known."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.page_reader import Page
from support.tiny_model import draw_photo, write_model

from maskinfer import MaskDetector
from maskinfer.data.geometry import Geometry
from maskinfer.evaluation.comparing import OneFaceComparison
from maskinfer.report.comparison_page import comparison_page
from maskinfer.report.folder import ReportFolder
from maskinfer.runtime.model_file import WorkingPoint

LABEL = "__[16, 8, 24, 32]__"
ONLY_A, ONLY_B = (
    "Only A is right: furthest apart first",
    "Only B is right: furthest apart first",
)
APART = "Greatest difference in IoU"


def photo(green: int) -> Image.Image:
    """A photo that the tiny model calls proper with probability `green` / 255."""
    pixels = np.array(draw_photo())
    pixels[..., 1] = green
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    return photos


def make_report(tmp_path: Path, folder: Path, **changes: Any) -> tuple[Page, dict[str, Any]]:
    a = MaskDetector(write_model(tmp_path / "a.onnx", one_face=WorkingPoint(threshold=0.5)), "cpu")
    b = MaskDetector(
        write_model(tmp_path / "b.onnx", **{"one_face": WorkingPoint(threshold=0.8)} | changes),
        "cpu",
    )
    report = ReportFolder.choose(tmp_path / "out", "compare", datetime.now(), overwrite=True)
    report.write(comparison_page(OneFaceComparison.of(a, b, folder)))
    return Page(report.page), json.loads((tmp_path / "out/facts.json").read_text(encoding="utf-8"))


def test_page_shows_where_models_differ(tmp_path: Path, folder: Path) -> None:
    photo(160).save(folder / f"only a{LABEL}True.png")
    photo(160).save(folder / f"only b{LABEL}False.png")
    photo(255).save(folder / f"both{LABEL}True.png")
    photo(0).save(folder / f"neither{LABEL}True.png")
    draw_photo(box_xywh=(18, 10, 20, 20)).save(folder / "coarse__[18, 10, 20, 20]__True.png")
    draw_photo(box_xywh=(16, 8, 2, 2)).save(folder / "small__[16, 8, 2, 2]__True.png")
    draw_photo().save(folder / "unlabelled.png")
    (folder / f"broken{LABEL}True.png").write_text("not an image")
    page, facts = make_report(tmp_path, folder, geometry=Geometry.letterbox(16))
    page.check_harmless()
    names = {title: [card[0] for card in cards] for title, cards in page.galleries.items()}
    assert names[ONLY_A] == [f"only a{LABEL}True.png"]
    assert names[ONLY_B] == [f"only b{LABEL}False.png"]
    assert names[APART] == ["coarse__[18, 10, 20, 20]__True.png"]
    assert page.galleries[ONLY_B][0][1:] == [
        "label: improper",
        "A: proper, 0.63, IoU 1.00",
        "B: improper, 0.63, IoU 1.00",
    ]
    (calls,) = [table for caption, table in page.tables.items() if caption.startswith("Images by")]
    assert [row[1] for row in calls[1:]] == ["2", "1", "1", "1"]
    assert "No difference in accuracy can be told from these 5 images (p = 1)." in page.text
    assert "Measured by A alone: 1; by B alone: 0." in page.text
    left_out = page.tables["Labelled images left out"][1:]
    assert [row[:2] for row in left_out] == [
        [f"broken{LABEL}True.png", "both"],
        ["small__[16, 8, 2, 2]__True.png", "B"],
    ]
    for words in ("solid blue box is the label's", "dashed orange one A's", "dashed pink one B's"):
        assert words in page.text
    cards = [a for tag, a in page.tags if tag == "li" and a.get("class") == "card"]
    assert {card["data-label"] for card in cards} == {"proper", "improper"}

    assert facts["calls"] == {
        "both_right": 2,
        "only_a_right": 1,
        "only_b_right": 1,
        "both_wrong": 1,
        "mcnemar_p": 1.0,
    }
    assert facts["a"]["measured_alone"] == ["small__[16, 8, 2, 2]__True.png"]
    assert facts["differences"]["accuracy"]["b_less_a"] == 0
    interval = facts["differences"]["mean_iou"]["interval"]
    assert interval["low"] < facts["differences"]["mean_iou"]["b_less_a"] < interval["high"] <= 0
    assert len(facts["images"]) == 5


def test_names_of_files_stay_names(tmp_path: Path, folder: Path) -> None:
    names = [
        f"<img src=x onerror=alert(1)>{LABEL}True.png",
        f"javascript:alert(1){LABEL}True.png",
        f"$x^2${LABEL}True.png",
    ]
    for name in names:
        photo(160).save(folder / name)
    os.link(folder / names[0], os.fsencode(folder) + b"/\xff" + f"{LABEL}True.png".encode())
    page, facts = make_report(tmp_path, folder)
    page.check_harmless()
    assert {row["filename"] for row in facts["images"]} == {*names, rf"\xff{LABEL}True.png"}
    assert len(page.galleries[ONLY_A]) == 4


def test_equal_models_differ_nowhere_on_one_image(tmp_path: Path, folder: Path) -> None:
    photo(160).save(folder / f"1{LABEL}True.png")
    page, facts = make_report(tmp_path, folder, one_face=WorkingPoint(threshold=0.5))
    assert all(not cards for cards in page.galleries.values())
    assert page.text.count("None.") == 3
    assert facts["calls"]["mcnemar_p"] == 1
    assert all(change["b_less_a"] == 0 for change in facts["differences"].values())
    assert facts["verdict"].startswith("No difference in accuracy on this image")


def test_galleries_are_bounded(tmp_path: Path, folder: Path) -> None:
    photo(160).save(folder / f"000{LABEL}True.png")
    for i in range(1, 300):
        os.link(folder / f"000{LABEL}True.png", folder / f"{i:03}{LABEL}True.png")
    page, facts = make_report(tmp_path, folder)
    assert len(page.galleries[ONLY_A]) == 48
    assert page.counts[ONLY_A] == "48 of 300"
    assert len(facts["images"]) == 300


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (380, "dark")])
def test_page_fits_in_a_browser(
    tmp_path: Path, folder: Path, open_page: Any, width: int, scheme: str
) -> None:
    photo(160).save(folder / f"<img src=x onerror=alert(1)>{'long' * 40}{LABEL}True.png")
    make_report(tmp_path, folder)
    page = open_page(tmp_path / "out/report.html", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".card:visible").count() == 1
