"""Takes the docs' pictures of the report pages, of drawn images only.

    python docs/pages.py RUN [RUN ...] --other MODEL --audit DIR

RUN are training runs, for `docs/report.png`; MODEL is compared with the default model, for
`docs/compare.png`; DIR is where `benchmarks/audit_noise.py --work DIR` left its audit, for
`docs/audit.png`. `docs/explore.png`, `docs/evaluate.png` and `docs/predict.png` show images drawn
here. Needs Chromium.
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

from maskinfer.train.synthetic.samples import SynthSettings, write_samples

DOCS = Path(__file__).parent
WIDTH, HEIGHT, COLORS = 1100, 1700, 128
SEED, IMAGES = 104, 400  # nothing was trained or measured on that seed
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main(
    runs: Annotated[list[Path], typer.Argument(help="Training runs.")],
    other: Annotated[Path, typer.Option(help="A model file.")],
    audit: Annotated[
        Path, typer.Option(help="The folder given to benchmarks/audit_noise.py --work.")
    ],
) -> None:
    """Make the pages and photograph them."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        work = Path(folder)
        shutil.copy(DOCS.parent / "maskinfer" / "default.onnx", work / "shipped.onnx")
        shutil.copy(other, work / "other.onnx")
        _draw_faulty_data(work / "drawn")
        write_samples(work / "clean", SynthSettings(IMAGES, SEED, 224))
        shutil.copytree(audit / "audit", work / "audit", ignore=shutil.ignore_patterns("folds"))
        for words in (
            "explore drawn --out explore --model shipped.onnx",
            "evaluate clean --report evaluate --model shipped.onnx",
            "compare other.onnx shipped.onnx --data clean --out compare",
            "predict clean --out preds.csv --face all --report predict --model shipped.onnx",
        ):
            _maskinfer(words.split(), work)
        for run in runs:
            shutil.copytree(run, work / "runs" / run.name)
        _maskinfer(["report", *(f"runs/{run.name}" for run in runs), "--out", "report"], work)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium", args=FLAGS
        )
        for name in ("explore", "evaluate", "compare", "predict", "report", "audit"):
            _photograph(browser, work / name / "report.html", DOCS / f"{name}.png")
        browser.close()


def _draw_faulty_data(data: Path) -> None:
    """Draw a data set with a few of the faults that real ones have."""
    write_samples(data / "train", SynthSettings(300, SEED, 224))
    write_samples(data / "test", SynthSettings(100, SEED + 1, 224))
    for name in sorted(path.name for path in (data / "train").glob("*.jpg"))[:60:10]:
        with Image.open(data / "train" / name) as image:
            image.save(data / "test" / f"again{name}", quality=50)
    for path in sorted((data / "train").glob("*.jpg"))[5:300:60]:
        path.rename(path.with_name(path.name.replace("__[", "__[-")))


def _maskinfer(arguments: list[str], work: Path) -> None:
    """Run in the work folder, so that no page names a path of the machine."""
    command = [sys.executable, "-m", "maskinfer", *arguments]
    subprocess.run(command, check=True, cwd=work, stdout=subprocess.DEVNULL)


def _photograph(browser: Browser, page: Path, out: Path) -> None:
    window = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    window.goto(page.as_uri())
    window.screenshot(path=out)
    with Image.open(out) as image:
        shot = image.convert("RGB").quantize(COLORS)
    shot.save(out, optimize=True)


if __name__ == "__main__":
    typer.run(main)
