"""Takes the docs' pictures of the report pages, of drawn images only.

    python docs/pages.py RUN [RUN ...] --other MODEL --audit DIR

RUN are training runs, for `docs/report.png`; MODEL is compared with the one that ships, for
`docs/compare.png`; DIR is where `benchmarks/audit_noise.py --work DIR` left its audit, for
`docs/audit.png`. `docs/explore.png` and `docs/evaluate.png` are of images drawn here. Needs
Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from maskinfer.train.synthetic import SynthSettings, write_samples

DOCS = Path(__file__).parent
WIDTH, HEIGHT, COLORS = 1100, 1400, 128
SEED, IMAGES = 104, 400  # nothing was trained or measured on that seed
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main(
    runs: Annotated[list[Path], typer.Argument(help="Training runs.")],
    other: Annotated[Path, typer.Option(help="A model file.")],
    audit: Annotated[Path, typer.Option(help="Left by benchmarks/audit_noise.py --work.")],
) -> None:
    """Make the pages and photograph them."""
    shipped = DOCS.parent / "maskinfer" / "default.onnx"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        work = Path(folder)
        data = _faulty_data(work / "drawn")
        _maskinfer("explore", data, "--out", work / "explore", "--model", shipped)
        clean = work / "clean"
        write_samples(clean, SynthSettings(IMAGES, SEED, 224))
        _maskinfer("evaluate", clean, "--report", work / "evaluate", "--model", shipped)
        _maskinfer("compare", other, shipped, "--data", clean, "--out", work / "compare")
        _maskinfer("report", *runs, "--out", work / "report")
        shutil.copytree(audit / "audit", work / "audit", ignore=shutil.ignore_patterns("folds"))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium", args=FLAGS
        )
        for name in ("explore", "evaluate", "compare", "report", "audit"):
            _photograph(browser, work / name / "report.html", DOCS / f"{name}.png")
        browser.close()


def _faulty_data(data: Path) -> Path:
    """A drawn data set with a few of the faults that real ones have."""
    write_samples(data / "train", SynthSettings(300, SEED, 224))
    write_samples(data / "test", SynthSettings(100, SEED + 1, 224))
    for name in sorted(path.name for path in (data / "train").glob("*.jpg"))[:60:10]:
        with Image.open(data / "train" / name) as image:
            image.save(data / "test" / f"again{name}", quality=50)
    for path in sorted((data / "train").glob("*.jpg"))[5:300:60]:
        path.rename(path.with_name(path.name.replace("__[", "__[-")))
    return data


def _maskinfer(*arguments: object) -> None:
    command = [sys.executable, "-m", "maskinfer", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _photograph(browser: Browser, page: Path, out: Path) -> None:
    window = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    window.goto(page.as_uri())
    window.screenshot(path=out)
    with Image.open(out) as image:
        shot = image.convert("RGB").quantize(COLORS)
    shot.save(out, optimize=True)


if __name__ == "__main__":
    typer.run(main)
