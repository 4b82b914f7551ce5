"""The pages in a real browser, and what can be said of them without one."""

import base64
import csv
import io
import os
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.tiny_model import draw_photo

from maskinfer.errors import UsageError
from maskinfer.report import figures
from maskinfer.report.blocks import Card, Choice, Gallery, Link, Notes, Page, Section, Table
from maskinfer.report.folder import ReportFolder, render_page
from maskinfer.report.thumbnails import LABEL, Outline, thumbnail

NOW = datetime(2026, 1, 2, 3, 4, 5)
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7*7 }}.jpg'


def make_page(folder: Path, *blocks: Any, title: str = "A page") -> Path:
    report = ReportFolder.choose(folder, "test", NOW, overwrite=True)
    sections = [Section("Part", "An introduction.", blocks)]
    report.write(Page(title, "of a test", sections, {"x": 1}, "Fine.", {"images": 3}))
    return report.page


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A page of six photos, one of which has a hostile name."""
    cards = []
    for index in range(6):
        # A slash cannot stand in a file's name.
        name = HOSTILE.replace("/", "∕") if index == 5 else f"{index}.jpg"
        draw_photo().save(tmp_path / name)
        cards.append(
            Card(
                tmp_path / name,
                name,
                (Outline((16, 8, 24, 32), LABEL),),
                "a photo",
                ("a line",),
                label="proper" if index % 2 else "improper",
                correct=index < 3,
                choice=Choice(
                    {"filename": f'a "{index}", b', "x": str(index)},
                    {"": "keep", "flip": "turn", "drop": "leave out"},
                ),
            )
        )
    blocks = (
        Table(
            HOSTILE,
            ("name", "number"),
            [["b", 10], ["a", 9.5], [Link(tmp_path / "0.jpg", HOSTILE), 100]],
        ),
        figures.bars("Bars", {HOSTILE: 0.5, "none": None}, "share", HOSTILE),
        figures.line_chart(
            "Lines", {"a $x_$": ([1, 2], [3, 4]), "_b": ([1, 2], [1, 1])}, "x", "y", "rises"
        ),
        Gallery("Photos", cards, 60),
    )
    return make_page(tmp_path / "report", *blocks, title=HOSTILE)


def shown(page: Any) -> int:
    return page.locator(".card:visible").count()


def test_filters_show_the_photos_that_carry_what_is_asked(gallery: Path, open_page: Any) -> None:
    page = open_page(gallery)
    assert shown(page) == 6
    page.get_by_label("Label").select_option("proper")
    assert shown(page) == 3
    page.get_by_label("Model").select_option("wrong")
    assert shown(page) == 2
    assert page.locator("output").inner_text() == "2 of 6 photos shown"
    page.get_by_label("Label").select_option("")
    assert shown(page) == 3


def test_a_gallery_shows_twelve_photos_and_the_rest_when_asked(
    tmp_path: Path, open_page: Any
) -> None:
    draw_photo().save(tmp_path / "a.jpg")
    cards = [
        Card(
            tmp_path / "a.jpg",
            f"{index}__[1, 2, 3, 4]__True.jpg",
            (),
            "a photo",
            (),
            label="proper" if index % 5 else "improper",
        )
        for index in range(20)
    ]
    page = open_page(make_page(tmp_path / "r", Gallery("Photos", cards, 20)))
    assert shown(page) == 12
    assert page.locator(".name").nth(3).inner_text() == "3"
    assert page.locator(".name").nth(3).get_attribute("title") == "3__[1, 2, 3, 4]__True.jpg"
    page.get_by_label("Label").select_option("improper")
    assert shown(page) == 4
    assert page.locator(".more:visible").count() == 0
    page.get_by_label("Label").select_option("")
    page.get_by_role("button", name="Show 8 more").press("Enter")
    assert shown(page) == 20
    assert page.locator(".more:visible").count() == 0
    focused = page.evaluate("document.activeElement.closest('.card').querySelector('.name').title")
    assert focused.startswith("12__")


def test_decisions_are_made_by_key_and_counted(gallery: Path, open_page: Any) -> None:
    page = open_page(gallery)
    cards, told = page.locator(".card"), page.locator("#judged")
    assert told.inner_text() == "0 of 6 judged, 0 to change"
    cards.nth(0).get_by_role("button", name="keep").focus()
    for key in ("f", "k", "x", "d"):
        page.keyboard.press(key)
    assert told.inner_text() == "3 of 6 judged, 2 to change"
    pressed = page.locator("[aria-pressed=true]").all_inner_texts()
    assert pressed == ["flip", "keep", "drop", "keep", "keep", "keep"]
    cards.nth(0).get_by_role("button", name="keep").click()
    assert told.inner_text() == "3 of 6 judged, 1 to change"


def test_a_page_begins_with_what_it_comes_to(gallery: Path, open_page: Any) -> None:
    page = open_page(gallery)
    assert page.locator(".verdict").inner_text() == "Fine."
    assert page.locator(".headline").inner_text().split() == ["images", "3"]


def test_tables_sort_by_number_and_by_text_and_by_keyboard(gallery: Path, open_page: Any) -> None:
    page = open_page(gallery)
    numbers = page.locator("tbody tr > :nth-child(2)")
    button = page.get_by_role("button", name="number")
    button.focus()
    page.keyboard.press("Enter")
    assert numbers.all_inner_texts() == ["9.500", "10", "100"]
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Enter")
    assert numbers.all_inner_texts() == ["100", "10", "9.500"]
    page.get_by_role("button", name="name").click()
    assert page.locator("tbody tr > :nth-child(1)").all_inner_texts()[1:] == ["a", "b"]
    assert page.locator("th[aria-sort]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_phone(gallery: Path, open_page: Any, scheme: str) -> None:
    page = open_page(gallery, 380, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 380
    # Nothing but what scrolls by itself reaches past its border.
    past = page.evaluate(
        """[...document.querySelectorAll("body *:not(svg *)")].filter((e) =>
            !e.closest(".scroll") && !e.closest(".skip") &&
            e.getBoundingClientRect().right > 381).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert past == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(gallery: Path, open_page: Any, scheme: str) -> None:
    page = open_page(gallery, 1200, scheme)
    # Contrast as WCAG 2.2 defines it, of every element with text of its own.
    low = page.evaluate(
        """() => {
          const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
          const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => {
              v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const ground = (e) => { for (; e; e = e.parentElement) {
              const c = parse(getComputedStyle(e).backgroundColor);
              if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
          return [...document.querySelectorAll("body *:not(svg *)")]
            .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
            .filter((e) => !e.matches("script, option"))
            .map((e) => { const a = light(parse(getComputedStyle(e).color)), b = light(ground(e));
              const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
              return [ratio, e.outerHTML.slice(0, 80)]; })
            .filter(([ratio]) => ratio < 4.5);
        }"""
    )
    assert low == []


def test_hostile_names_do_nothing(gallery: Path, open_page: Any) -> None:
    page = open_page(gallery)
    page.wait_for_timeout(200)
    assert page.locator("script").count() == 1
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == HOSTILE
    assert page.locator("h1").inner_text() == HOSTILE
    assert "49" not in page.locator("h1").inner_text()


def test_links_lead_to_the_files(gallery: Path, open_page: Any) -> None:
    page = open_page(gallery)
    for link in page.locator("a.photo").all():
        address = link.evaluate("e => decodeURIComponent(new URL(e.href).pathname)")
        assert Path(address).is_file()


def test_decisions_are_saved_as_the_list_that_is_read(
    gallery: Path, open_page: Any, tmp_path: Path
) -> None:
    page = open_page(gallery)
    page.get_by_role("button", name="flip").nth(1).click()
    page.get_by_role("button", name="drop").nth(4).click()
    page.get_by_label("Label").select_option("improper")  # what is hidden counts too
    with page.expect_download() as download:
        page.get_by_role("button", name="Save decisions").click()
    download.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"action": "flip", "filename": 'a "1", b', "x": "1"},
            {"action": "drop", "filename": 'a "4", b', "x": "4"},
        ]


class _Outline(HTMLParser):
    """What a screen reader goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.unnamed: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        if (tag == "img" and not given.get("alt")) or (
            given.get("role") in ("img", "region") and not given.get("aria-label")
        ):
            self.unnamed.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))


def test_the_page_has_an_outline_and_names_for_its_pictures(gallery: Path) -> None:
    outline = _Outline()
    outline.feed(gallery.read_text(encoding="utf-8"))
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    assert outline.unnamed == []
    assert len(outline.ids) == len(set(outline.ids))


def test_the_page_needs_no_network_and_says_so(gallery: Path) -> None:
    html = gallery.read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert ' src="http' not in html
    assert "@import" not in html
    assert "<script src" not in html


def test_a_page_of_nothing_is_a_page(tmp_path: Path) -> None:
    page = make_page(tmp_path / "r", Notes([]), Table("t", ("a",), []), Gallery("g", [], 0))
    assert "None." in page.read_text()


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_that_are_no_text_stay_links(tmp_path: Path) -> None:
    photo = tmp_path / os.fsdecode(b"\xff javascript:alert(1).jpg")
    photo.write_bytes(b"")
    report = ReportFolder.choose(tmp_path / "r", "test", NOW, overwrite=False)
    assert report.address(photo) == "../%FF%20javascript%3Aalert%281%29.jpg"
    table = Table("c", ("h",), [[Link(photo, photo.name)]])
    html = render_page(
        Page("t", "s", [Section("a", "", [table])], {}, "v", {}), report.address, "now"
    )
    assert r"\xff javascript" in html
    html.encode()


@pytest.mark.parametrize(
    ("size_wh", "box", "part"),
    [
        pytest.param((400, 200), (100, 50, 120, 100), (176, 88), id="whole"),
        pytest.param((4000, 3000), (3900, 10, 50, 60), (176, 160), id="small at the border"),
        pytest.param((90, 90), (200, 200, 10, 10), (176, 176), id="outside"),
        pytest.param((3, 900), (0, 0, 0, 0), (1, 176), id="thin"),
    ],
)
def test_thumbnails_are_bounded_and_show_the_face(
    tmp_path: Path, size_wh: tuple[int, int], box: tuple[int, int, int, int], part: tuple[int, int]
) -> None:
    Image.new("RGB", size_wh, "grey").save(tmp_path / "a.jpg")
    uri = thumbnail(tmp_path / "a.jpg", [Outline(box, LABEL, dashed=True)])
    assert uri is not None
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(data)) as image:
        assert max(image.size) == 176
        assert image.size == pytest.approx(part, abs=20)
    assert len(uri) < 20_000


def test_a_photo_that_cannot_be_read_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no image")
    assert thumbnail(tmp_path / "a.jpg") is None


def test_a_report_is_not_written_over_another_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    cases = (
        (tmp_path, "not empty"),
        (tmp_path / "mine.txt", "not a folder"),
        (tmp_path / "mine.txt" / "sub" / "sub", "mine.txt is not a folder"),
    )
    for out, words in cases:
        with pytest.raises(UsageError, match=words):
            ReportFolder.choose(out, "test", NOW, overwrite=False)
    kept = ReportFolder.choose(tmp_path, "test", NOW, overwrite=True)
    kept.write(Page("t", "s", [], {}, "v", {}))
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "report.html", "facts.json"}


def test_a_report_without_a_name_takes_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        report = ReportFolder.choose(None, "test", NOW, overwrite=False)
        assert not report.path.exists()
        report.write(Page("t", "s", [], {}, "v", {}))
        names.append(report.path.as_posix())
    first = "reports/test-20260102-030405"
    assert names == [first, f"{first}-1", f"{first}-2"]
