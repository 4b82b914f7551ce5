"""What decoding large JPEGs at a reduced size gains in speed and costs in accuracy.

    python benchmarks/reduced_decoding.py --data DIR [--photos 48] [--rounds 2] [--count 96]

Speed: `predict_images` over drawn 12-megapixel JPEGs with a camera's noise, as it is and with
every photo decoded in full, in turn; each round is one pass of each. Accuracy: DIR is a folder of
labelled images, each of which is enlarged to 12 megapixels (LANCZOS, quality 90) with its label.
Both with the model that ships, in batches of the default size.
"""

import math
import tempfile
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from materials import report
from PIL import Image
from rich.table import Table

from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import list_images
from maskinfer.data.geometry import Placement, place
from maskinfer.data.images import ImageSource, load_photo
from maskinfer.data.labels import Label, format_name
from maskinfer.data.pixels import Pixels
from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.providers import default_streams
from maskinfer.train.synthetic.samples import draw_scene, random_scene

_SIZE_WH = (4000, 3000)
_PIXELS = _SIZE_WH[0] * _SIZE_WH[1]
_DISTINCT = 6
_DRAWN_PX = 1000
_NOISE = 4.0  # standard deviation, in 0..255
_QUALITY = 90
_AIM_SPEED, _AIM_DIFFERENCE = 4.0, 0.005


class _FullDetector(MaskDetector):
    """Decodes every pixel of every photo."""

    def make_canvas(self, source: ImageSource) -> tuple[Pixels, Placement]:
        return place(load_photo(source, max_pixels=self.max_pixels), self.session.metadata.geometry)


def main(
    data: Annotated[Path, typer.Option(help="A folder of labelled images.")],
    photos: Annotated[int, typer.Option(help="Photos a pass.")] = 48,
    rounds: Annotated[int, typer.Option(help="Passes of each.")] = 2,
    count: Annotated[int, typer.Option(help="Labelled images, at most.")] = 96,
    model: Annotated[Path | None, typer.Option(help="By default the one that ships.")] = None,
) -> None:
    """Draw, enlarge, measure, print."""
    path = model or shipped_model()
    ways = {
        "reduced": MaskDetector(path, streams=default_streams()),
        "full": _FullDetector(path, streams=default_streams()),
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as work:
        drawn, enlarged = Path(work, "drawn"), Path(work, "enlarged")
        _draw(drawn, photos)
        names = list_images(drawn)
        for _ in range(rounds):
            for way, detector in ways.items():
                start = time.perf_counter()
                deque(predict_images(detector, drawn.joinpath, names), maxlen=0)
                speeds[way].append(len(names) / (time.perf_counter() - start))
        _enlarge(data, enlarged, count)
        metrics = {way: evaluate_folder(d, enlarged).metrics for way, d in ways.items()}
    pairs = zip(speeds["reduced"], speeds["full"], strict=True)
    gain = median(reduced / full for reduced, full in pairs)
    iou, accuracy = (
        {way: getattr(of_way, name) for way, of_way in metrics.items()}
        for name in ("mean_iou", "accuracy")
    )
    table = Table(title=f"{photos} JPEGs of 12 MP; {metrics['full'].images} labelled images")
    for name in ("", "reduced", "full", "reduced against full", "aim"):
        table.add_column(name, justify="right" if name else "left")
    medians = [f"{median(speeds[way]):.1f}" for way in ways]
    table.add_row("images/s", *medians, f"{gain:.2f} x", f">= {_AIM_SPEED} x")
    for name, figures in (("IoU", iou), ("accuracy", accuracy)):
        table.add_row(
            name,
            *(f"{figures[way]:.4f}" for way in ways),
            f"{figures['reduced'] - figures['full']:+.4f}",
            f"within {_AIM_DIFFERENCE}",
        )
    report(table, images_per_s=speeds, gain=gain, iou=iou, accuracy=accuracy)


def _draw(folder: Path, count: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"{index:06}.jpg"
        if index >= _DISTINCT:
            path.hardlink_to(folder / f"{index % _DISTINCT:06}.jpg")
            continue
        drawing = draw_scene(random_scene(0, index, _DRAWN_PX))
        photo = drawing.resize(_SIZE_WH, Image.Resampling.BICUBIC)
        noise = rng.normal(0, _NOISE, (_SIZE_WH[1], _SIZE_WH[0], 1))
        pixels = np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=_QUALITY)


def _enlarge(data: Path, folder: Path, count: int) -> None:
    folder.mkdir()
    for index, sample in enumerate(Dataset(data).samples("test").samples[:count]):
        photo = load_photo(sample.path).image
        factor = math.sqrt(_PIXELS / (photo.width * photo.height))
        size_wh = (round(photo.width * factor), round(photo.height * factor))
        x, y, w, h = (round(value * factor) for value in sample.box_xywh)
        name = format_name(Label(f"{index:06}", (x, y, w, h), sample.proper_mask))
        photo.resize(size_wh, Image.Resampling.LANCZOS).save(folder / name, quality=_QUALITY)


if __name__ == "__main__":
    typer.run(main)
