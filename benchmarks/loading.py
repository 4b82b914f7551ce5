"""How fast training's batches are made, in the first epoch and in later ones.

    python benchmarks/loading.py [--photos 96] [--workers 2] [--epochs 4] [--recipe default]

Drawn JPEGs of 12 megapixels and of 640 x 480, each with one labelled face, go through the loader of
`lite` as the training loop uses it, without a network. Images/s of all workers together, the first
epoch against the median of the later ones.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from materials import report, write_photos
from rich.table import Table

from maskinfer.data.labels import Sample
from maskinfer.train.data.batches import EpochOrder, SampleCanvases, loader
from maskinfer.train.data.decoded import DecodedPhotos
from maskinfer.train.recipes import recipe_settings

_SIZES = {"12 megapixels": (4000, 3000), "640 x 480": (640, 480)}
_DISTINCT = 8
_AIM = 5.0  # later epochs against the first, of 12 megapixels


def main(
    photos: Annotated[int, typer.Option(help="A pass.")] = 96,
    workers: Annotated[int, typer.Option(help="Processes that decode.")] = 2,
    epochs: Annotated[int, typer.Option()] = 4,
    recipe: Annotated[str, typer.Option()] = "default",
) -> None:
    """Draw, load and print."""
    table = Table("photos", "first epoch, images/s", "later", "ratio", "aim")
    rows = []
    for name, size_wh in _SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_photos(Path(folder) / "photos", photos, size_wh, distinct=_DISTINCT)
            speeds = _speeds(Path(folder), size_wh, recipe, workers, epochs)
        first, later = speeds[0], median(speeds[1:])
        aim = f"{_AIM:.0f}" if name == "12 megapixels" else ""
        table.add_row(name, f"{first:.0f}", f"{later:.0f}", f"{later / first:.1f}", aim)
        rows.append({"photos": name, "first": first, "later": later})
    report(table, rows=rows, workers=workers, recipe=recipe)


def _speeds(
    folder: Path, size_wh: tuple[int, int], recipe: str, workers: int, epochs: int
) -> list[float]:
    """Images/s of each epoch."""
    width, height = size_wh
    box = (0.4 * width, 0.3 * height, 0.2 * width, 0.3 * height)
    samples = [Sample(path, box, True) for path in sorted((folder / "photos").iterdir())]
    settings = recipe_settings("lite", recipe, ())
    canvases = SampleCanvases(
        samples,
        settings.geometry,
        settings.augment,
        settings.seed,
        settings.canvases,
        DecodedPhotos(folder / "decoded"),
    )
    order = EpochOrder(samples, settings, 1, 0)
    batches = loader(canvases, order, replace(settings, workers=workers))
    speeds = []
    for epoch in range(1, epochs + 1):
        order.epoch, began = epoch, time.perf_counter()
        images = sum(len(batch.samples) for batch in batches)
        speeds.append(images / (time.perf_counter() - began))
    return speeds


if __name__ == "__main__":
    typer.run(main)
