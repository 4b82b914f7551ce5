"""The pages of `explore` and `audit`, over names that mean harm, in a real browser."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo

from maskinfer.text import printable_name

# The second is a folder and a file in it, which together read as a whole element.
NAMES = [
    "<img src=x onerror=alert(1)>__[16, 8, 24, 32]__True.png",
    "<script>alert(1)</script>__[16, 8, 24, 32]__True.png",
    "javascript:alert(1)__[16, 8, -4, 32]__False.png",
    "'\"\n{{ 7 * 7 }}__[16, 8, 24, 32]__True.png",
]
if os.name == "posix":
    NAMES.append(os.fsdecode(b"\xff\xfe__[1, 1, 0, 3]__True.png"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve plain photos and some with hostile names, of which the first two are one photo."""
    monkeypatch.chdir(tmp_path)
    for index in range(12):
        proper = index % 2 == 0
        path = tmp_path / "data" / "train" / f"{index}__[16, 8, 24, 32]__{proper}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photo((64 + 4 * index, 64), proper=proper, blue=120 + index).save(path)
    for name in NAMES:
        path = tmp_path / "data" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photo(proper=False, blue=250).save(tmp_path / "a.png")
        (tmp_path / "a.png").rename(path)
    return tmp_path / "data"


def _unfold(page: Any) -> None:
    """Show labels that are more likely right."""
    for summary in page.locator("summary").all():
        summary.click()


@pytest.mark.parametrize("width", [380, 1200])
@pytest.mark.parametrize("command", ["explore", "audit"])
def test_hostile_names_are_shown_and_do_nothing(
    data: Path, tiny_model: Path, run_cli: RunCli, open_page: Any, command: str, width: int
) -> None:
    done = run_cli(command, "data", "--model", tiny_model, "--provider", "cpu", "--out", "r")
    assert done.code == 0
    page = open_page(Path("r/report.html"), width, "dark" if width == 380 else "light")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("script").count() == 1
    assert page.locator("img[src=x]").count() == 0
    text = page.locator("main").text_content()
    text += "\n".join(page.locator(".name").evaluate_all("all => all.map((e) => e.title)"))
    for name in NAMES:
        assert printable_name(name) in text
    hrefs = page.locator("main a").evaluate_all("all => all.map((a) => a.href)")
    assert all(href.startswith("file:") for href in hrefs)
    _unfold(page)
    page.locator("select[name=label]").select_option("improper")
    shown = page.locator(".card:visible p:has-text('label:')").all_inner_texts()
    assert shown
    assert set(shown) == {"label: improper"}


def test_what_is_decided_on_the_page_is_what_apply_reads(
    data: Path, tiny_model: Path, run_cli: RunCli, open_page: Any
) -> None:
    run_cli("audit", "data", "--model", tiny_model, "--provider", "cpu", "--out", "r")
    page = open_page(Path("r/report.html"))
    assert page.locator(".card:visible").count() < page.locator(".card").count()
    _unfold(page)
    while page.locator(".more:visible").count():
        page.locator(".more:visible").first.click()
    cards = page.locator(".card")
    decided = {}
    for index in range(cards.count()):
        name = cards.nth(index).locator(".name").get_attribute("title")
        for hostile in NAMES:
            if name == printable_name(f"train/{hostile}"):
                cards.nth(index).get_by_role("button", name="flip").click()
                decided[name] = hostile
    assert len(decided) == len(NAMES)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save decisions").click()
    download.value.save_as("decisions.csv")
    with Path("decisions.csv").open(newline="", encoding="utf-8") as file:
        assert {row["filename"] for row in csv.DictReader(file)} == set(decided)
    done = run_cli("audit", "data", "--apply", "decisions.csv", "--out", "corrected")
    assert done.code == 0
    for hostile in NAMES:
        turned = hostile.replace("True", "?").replace("False", "True").replace("?", "False")
        assert (Path("corrected/train") / turned).is_file()
        assert not (Path("corrected/train") / hostile).exists()
