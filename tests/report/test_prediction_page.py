"""The page of `predict --report`, of real files and a model whose answers are known."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image
from support.cli import RunCli
from support.page_reader import Page
from support.places import in_memory
from support.predictions import predicted
from support.tiny_model import draw_photo

from maskinfer.data.folders import Failure
from maskinfer.errors import MaskinferError
from maskinfer.inference.choosing import Kind
from maskinfer.inference.results import ImagePrediction, Prediction
from maskinfer.report.folder import ReportFolder
from maskinfer.report.prediction_page import WorstPhotos

NOT_PROPER = "Someone not properly masked: surest first"
UNSURE = "Called proper, but unsure: nearest to the threshold first"
NO_FACE = "No face"
HOSTILE = [
    "<img src=x onerror=alert(1)>.png",
    "javascript:alert(1).png",
    "{{ 7 * 7 }} & \"q\" 'r'.png",
    "_a\nb\t.png",
]


def photo(green: int, **options: Any) -> Image.Image:
    """A photo that the tiny model calls proper with probability `green` / 255."""
    pixels = np.array(draw_photo(**options))
    dim = (pixels[..., 0] > 64) & (pixels[..., 0] < 100)
    pixels[..., 1] = np.where(dim, pixels[..., 1], green)
    return Image.fromarray(pixels)


@pytest.fixture
def report(tmp_path: Path, tiny_model: Path, run_cli: RunCli) -> Callable[..., tuple[Page, Any]]:
    def run(images: object, *options: object, code: int = 0) -> tuple[Page, Any]:
        out = tmp_path / "look"
        arguments = (
            "--out",
            tmp_path / "p.csv",
            "--report",
            out,
            "--model",
            tiny_model,
        )
        done = run_cli("predict", images, *arguments, "--provider", "cpu", "--overwrite", *options)
        assert done.code == code, done.stderr
        assert f"report: {out / 'report.html'}" in done.stderr
        facts = json.loads((out / "facts.json").read_text(encoding="utf-8"))
        return Page(out / "report.html"), facts

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    return photos


def test_page_shows_those_to_look_at_the_worst_first(
    folder: Path, report: Callable[..., tuple[Page, Any]]
) -> None:
    second = {"second_xywh": (2, 44, 12, 16)}
    photo(255, blue=240, **second).save(folder / "two, one not proper.png")
    photo(5).save(folder / "surely not.png")
    photo(110).save(folder / "perhaps not.png")
    photo(140).save(folder / "nearest.png")
    photo(170).save(folder / "unsure.png")
    photo(250).save(folder / "sure.png")
    photo(250, blue=115).save(folder / "nobody.png")
    (folder / "broken.png").write_text("not an image")
    page, facts = report(folder, "--face", "all", "--min-score", 0.46, code=3)
    names = {title: [card[0] for card in cards] for title, cards in page.galleries.items()}
    assert names == {
        NOT_PROPER: ["surely not.png", "two, one not proper.png", "perhaps not.png"],
        UNSURE: ["nearest.png", "unsure.png"],
        NO_FACE: ["nobody.png"],
    }
    assert page.galleries[NOT_PROPER][1][1:] == ["not proper: 0.13", "2 faces"]
    assert page.galleries[NOT_PROPER][0][1:] == ["not proper: 0.02"]
    assert page.galleries[UNSURE][0][1:] == ["proper, unsure: 0.55"]
    assert page.galleries[NO_FACE] == [["nobody.png"]]
    assert page.tables["All photos"][1:] == [
        ["photos", "8"],
        ["faces", "7"],
        ["faces properly masked", "4"],
        ["faces not properly masked", "3"],
        ["photos with someone not properly masked", "3"],
        ["other photos with an unsure answer", "2"],
        ["photos without a face", "1"],
        ["failed", "1"],
    ]
    assert "Why images failed is in p.errors.csv." in page.text
    properties = dict(page.tables["What predicted, and how"][1:])
    assert (properties["face"], properties["least score"]) == ("all", "0.460")
    cards = [a for tag, a in page.tags if tag == "li" and a.get("class") == "card"]
    assert [card["data-answer"] for card in cards] == [
        *["someone not properly masked"] * 3,
        *["unsure"] * 2,
        "no face",
    ]
    assert not any("data-label" in card or "data-correct" in card for card in cards)
    assert facts["counts"]["photos"] == 8
    assert facts["photos"][1] == {
        "filename": "two, one not proper.png",
        "kind": "not-proper",
        "faces": [
            {
                **dict(zip("xywh", (16, 8, 24, 32), strict=True)),
                **{"proper_mask": True, "probability": 1.0, "score": 0.9412},
            },
            {
                **dict(zip("xywh", (2, 44, 12, 16), strict=True)),
                **{"proper_mask": False, "probability": 0.1255, "score": 0.4706},
            },
        ],
    }
    assert "all of them are in" not in page.text


def test_labelled_photos_can_be_filtered_by_label(
    folder: Path, report: Callable[..., tuple[Page, Any]]
) -> None:
    photo(5).save(folder / "1__[16, 8, 24, 32]__True.png")
    photo(5).save(folder / "2__[16, 8, 24, 32]__False.png")
    page, _ = report(folder)
    cards = [a for tag, a in page.tags if tag == "li" and a.get("class") == "card"]
    assert [(card["data-label"], card["data-correct"]) for card in cards] == [
        ("proper", "wrong"),
        ("improper", "right"),
    ]


def test_nothing_to_look_at_is_a_page_too(
    folder: Path, report: Callable[..., tuple[Page, Any]]
) -> None:
    photo(250).save(folder / "sure.png")
    page, facts = report(folder / "sure.png")
    assert all(cards == [] for cards in page.galleries.values())
    assert facts["photos"] == []


def test_names_of_files_stay_names(
    tmp_path: Path, folder: Path, report: Callable[..., tuple[Page, Any]]
) -> None:
    for name in HOSTILE:
        photo(5).save(folder / name)
    os.link(folder / HOSTILE[0], os.fsencode(folder) + b"/raw \xff\xfe.png")
    page, facts = report(folder)
    page.check_harmless()
    assert "<img src=x onerror=alert(1)>" in page.text
    assert r"raw \xff\xfe.png" in page.text
    assert len(facts["photos"]) == 5
    files = [link for link in page.links() if not link.startswith("#")]
    assert len(files) == 5
    for link in files:
        assert (tmp_path / "look" / os.fsdecode(unquote_to_bytes(link))).is_file(), link


def test_photos_at_an_address_are_shown_without_links(
    folder: Path, report: Callable[..., tuple[Page, Any]]
) -> None:
    photo(5).save(folder / "a.png")
    page, _ = report(in_memory(folder))
    assert page.galleries[NOT_PROPER] == [["a.png", "not proper: 0.02"]]
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert [link for link in page.links() if not link.startswith("#")] == []


def test_a_report_that_was_stopped_is_drawn_when_resuming(
    tmp_path: Path,
    folder: Path,
    tiny_model: Path,
    run_cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: ReportFolder, *rest: object) -> None:
        raise MaskinferError("the disk is full")

    photo(5).save(folder / "a.png")
    out = tmp_path / "p.csv"
    arguments: tuple[object, ...] = ("predict", folder, "--out", out, "--model", tiny_model)
    arguments = (*arguments, "--report", tmp_path / "look")
    with monkeypatch.context() as patch:
        patch.setattr(ReportFolder, "write", fail)
        done = run_cli(*arguments)
    assert done.code == 1
    assert "the disk is full; 1 of 1 images are done, kept in" in done.stderr
    assert not out.exists()
    assert run_cli(*arguments, "--resume").code == 0
    assert Page(tmp_path / "look/report.html").galleries[NOT_PROPER][0][0] == "a.png"
    done = run_cli(*arguments)
    assert (done.code, "--overwrite" in done.stderr) == (2, True)
    done = run_cli(*arguments, "--resume")
    assert (done.code, f"report: {tmp_path}" in done.stderr) == (0, True)
    done = run_cli(*arguments[:-1], tmp_path / "other", "--resume")
    assert "note: no report, since nothing was left to predict" in done.stderr


def test_a_folder_that_is_not_empty_is_refused_before_any_work(
    tmp_path: Path, folder: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    photo(5).save(folder / "a.png")
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "mine.txt").touch()
    options = ("--out", tmp_path / "p.csv", "--model", tiny_model)
    done = run_cli("predict", folder, *options, "--report", tmp_path / "look")
    assert (done.code, "not empty" in done.stderr) == (2, True)
    assert not (tmp_path / "p.csv").exists()


def test_without_the_extra_nothing_is_begun(
    tmp_path: Path, folder: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(5).save(folder / "a.png")
    monkeypatch.setattr("maskinfer.report.folder.find_spec", lambda name: None)
    done = run_cli("predict", folder, "--out", tmp_path / "p.csv", "--report", tmp_path / "look")
    assert done.code == 1
    assert "jinja2 is not installed; reports need maskinfer's 'report' extra" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_report_beside_standard_output(
    tmp_path: Path, folder: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    photo(5).save(folder / "a.png")
    options = ("--report", tmp_path / "look", "--model", tiny_model)
    done = run_cli("predict", folder, "--out", "-", *options)
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["a.png,16,8,24,32,False,0.0196,0.7843"]
    assert Page(tmp_path / "look/report.html").galleries[NOT_PROPER][0][0] == "a.png"


def answer(index: int, probability: float) -> ImagePrediction:
    name, proper = f"{index:06}.jpg", probability >= 0.5
    return predicted(name, (0, 0, 5, 5), proper, 0.9, probability=probability)


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ((1000, 1000, 1000), (300, 100, 100)),
        ((1000, 0, 0), (500, 0, 0)),
        ((10, 1000, 1000), (10, 390, 100)),
        ((1000, 3, 0), (497, 3, 0)),
        ((0, 0, 1000), (0, 0, 500)),
        ((200, 150, 150), (200, 150, 150)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_at_most_500_photos_are_kept_and_of_each_kind_some(
    counts: tuple[int, ...], shown: tuple[int, ...]
) -> None:
    worst = WorstPhotos(0.5)
    improper, unsure, nobody = counts
    for index in range(max(counts, default=0)):
        if index < improper:
            worst.add(answer(index, (index * 7 % 1000) / 2001))
        if index < unsure:
            worst.add(answer(index, 0.5 + (index * 7 % 1000) / 5001))
        if index < nobody:
            worst.add(ImagePrediction(f"{index:06}.jpg", ()))
        worst.add(Failure("x.jpg", "damaged"))
        worst.add(answer(index, 0.99))
    photos = worst.photos()
    assert tuple(len(photos[kind]) for kind in Kind) == shown
    assert tuple(worst.counts[kind] for kind in Kind) == counts
    surest = [photo.faces[0].probability for photo in photos[Kind.NOT_PROPER]]
    assert surest == sorted(surest)
    assert improper < 1000 or surest[:2] == [0, 1 / 2001]
    nearest = [photo.faces[0].probability for photo in photos[Kind.UNSURE]]
    assert nearest == sorted(nearest)
    names = [photo.filename for photo in photos[Kind.NO_FACE]]
    assert names == [f"{index:06}.jpg" for index in range(len(names))]


def test_a_photo_is_judged_by_its_worst_face() -> None:
    worst = WorstPhotos(0.7)
    faces = tuple(
        Prediction((0, 0, 5, 5), probability >= 0.7, probability, 0.9)
        for probability in (0.99, 0.1, 0.75)
    )
    worst.add(ImagePrediction("crowd.jpg", faces))
    worst.add(ImagePrediction("pair.jpg", faces[::2]))
    photos = worst.photos()
    assert [photo.filename for photo in photos[Kind.NOT_PROPER]] == ["crowd.jpg"]
    assert [photo.filename for photo in photos[Kind.UNSURE]] == ["pair.jpg"]
    assert worst.worst_face(ImagePrediction("crowd.jpg", faces)) == faces[1]


def test_page_says_where_the_rest_is(folder: Path, report: Callable[..., tuple[Page, Any]]) -> None:
    photo(5).save(folder / "000.png")
    for i in range(1, 520):
        os.link(folder / "000.png", folder / f"{i:03}.png")
    page, facts = report(folder)
    assert len(page.galleries[NOT_PROPER]) == 500
    assert page.counts[NOT_PROPER] == "500 of 520"
    assert "all of them are in p.csv" in page.text
    assert len(facts["photos"]) == 500
    assert facts["counts"]["photos with someone not properly masked"] == 520


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (380, "dark")])
def test_page_fits_and_filters_in_a_browser(
    tmp_path: Path,
    folder: Path,
    report: Callable[..., tuple[Page, Any]],
    open_page: Any,
    width: int,
    scheme: str,
) -> None:
    for name in HOSTILE:
        photo(5).save(folder / name)
    photo(140).save(folder / f"{'long' * 50}.png")
    report(folder)
    page = open_page(tmp_path / "look/report.html", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("output").inner_text() == "5 of 5 photos shown"
    page.select_option("select[name=answer]", "unsure")
    assert page.locator(".card:visible").count() == 1
    assert page.locator("output").inner_text() == "1 of 5 photos shown"
