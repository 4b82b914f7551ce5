"""A real browser for the pages, where the machine has one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Without a sandbox, which containers do not allow, and without calls to its makers.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; skipped where there is none."""
    chromium = next(filter(None, map(shutil.which, _NAMES)), None)
    if chromium is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield launched
        launched.close()


class OpenPage:
    """Opens pages, and fails the test for what they log or ask the network for."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.wrong: list[str] = []

    def __call__(self, path: Path, width: int = 1200, scheme: str = "light") -> Page:
        page = self.browser.new_page(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            accept_downloads=True,
        )
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        address = path.resolve().as_uri()
        page.on(
            "request",
            lambda request: (
                None
                if request.url == address or request.url.startswith(("data:", "blob:"))
                else self.wrong.append(request.url)
            ),
        )
        page.goto(address)
        return page


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a page as a reader would: a function of its path, the window's width and its theme."""
    opener = OpenPage(browser)
    yield opener
    for context in browser.contexts:
        context.close()
    assert opener.wrong == []
