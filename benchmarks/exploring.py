"""How fast `maskinfer explore` is, and how much memory it takes for how many images.

    python benchmarks/exploring.py [--images 20000]

Each command is a process of its own. 200 distinct images of 320 x 240 pixels are drawn; the others
are the same with other pixels in a corner and names of their own, so that files differ.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from materials import peak_mb, report
from PIL import Image
from rich.table import Table

from maskinfer.data.labels import Label, format_name
from maskinfer.train.synthetic.samples import draw_scene, random_scene

_SIZE_WH = (320, 240)
_DISTINCT = 200
_AIM_MB = 300


def main(
    images: Annotated[
        int, typer.Option(help="Of the larger data set; the other has 1,000.")
    ] = 20_000,
) -> None:
    """Draw, explore, compare."""
    table = Table("images", "model", "images/s", "peak MB", "aim")
    figures = {}
    with tempfile.TemporaryDirectory() as work:
        for count in (1000, images):
            data = Path(work, str(count))
            _write_data(data, count)
            for model in ("--no-model", "--ask-model"):
                began = time.perf_counter()
                out = Path(work, f"{count}{model}")
                peak = peak_mb("explore", data, model, "--out", out)
                rate = count / (time.perf_counter() - began)
                figures[f"{count} {model}"] = {"images_per_s": rate, "peak_mb": peak}
                aim = f"< {_AIM_MB}" if count == images else ""
                asked = "yes" if model == "--ask-model" else "no"
                table.add_row(f"{count}", asked, f"{rate:.0f}", f"{peak:.0f}", aim)
    report(table, **figures)


def _write_data(data: Path, count: int) -> None:
    """Nine in ten images for training, names with labels."""
    drawn = []
    for index in range(min(_DISTINCT, count)):
        scene = random_scene(5, index, max(_SIZE_WH))
        image, proper = draw_scene(scene), scene.face.proper_mask
        x, y, w, h = scene.face.box_xywh
        scale = (_SIZE_WH[0] / image.width, _SIZE_WH[1] / image.height)
        resized = (
            round(x * scale[0]),
            round(y * scale[1]),
            max(1, round(w * scale[0]) - 1),
            max(1, round(h * scale[1]) - 1),
        )
        drawn.append((image.resize(_SIZE_WH, Image.Resampling.BICUBIC), resized, proper))
    for split in ("train", "test"):
        (data / split).mkdir(parents=True)
    for index in range(count):
        image, box, proper = drawn[index % len(drawn)]
        image.paste((index % 256, index // 256 % 256, 9), (0, 0, 8, 8))
        name = format_name(Label(f"{index:06d}", box, proper))
        image.save(data / ("test" if index % 10 == 0 else "train") / name, quality=90)


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}", file=sys.stderr)
    typer.run(main)
