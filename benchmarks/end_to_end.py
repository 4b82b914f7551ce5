"""What of the network's own speed is left from JPEG files to rows.

    python benchmarks/end_to_end.py [--images 2000] [--resnet-images 500] [--rounds 2]

For the model that ships, and for a ResNet-50 with random weights in FP32: `predict_images` with its
default settings over 640 x 480 JPEGs, in turn with the same session on the same canvases, drawn
already, in batches of the same size. Each round is one pass of each; the ratio is the median of the
rounds' ratios.
"""

import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from materials import report, write_photos
from random_resnet import random_resnet50, write_file
from rich.table import Table

from maskinfer.dataset import list_images
from maskinfer.detector import MaskDetector
from maskinfer.images import Pixels
from maskinfer.models import shipped_model
from maskinfer.pipeline import decode_threads, predict_images

_SIZE_WH = (640, 480)
_DISTINCT = 50
_CALIBRATING = 32  # images that ResNet-50's batch normalisation is measured on
_AIMS = {"shipped": 0.85, "ResNet-50, FP32": 0.95}


@dataclass(frozen=True)
class Speeds:
    """Images/s of each round."""

    whole: list[float]
    session: list[float]

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return median(w / s for w, s in zip(self.whole, self.session, strict=True))


def main(
    images: Annotated[int, typer.Option(help="Images a pass of the shipped model.")] = 2000,
    resnet_images: Annotated[int, typer.Option(help="Images a pass of ResNet-50.")] = 500,
    rounds: Annotated[int, typer.Option(help="Passes of each.")] = 2,
    provider: Annotated[str, typer.Option(help="auto, cuda, tensorrt or cpu.")] = "auto",
) -> None:
    """Draw, export, measure, print."""
    found: dict[str, Speeds] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "photos")
        write_photos(folder, max(images, resnet_images), _SIZE_WH, distinct=_DISTINCT)
        names = list_images(folder)
        detector = MaskDetector(shipped_model(), provider)
        found["shipped"] = _race(detector, folder, names[:images], rounds)
        canvases = _canvases(detector, folder, names[: min(_CALIBRATING, _DISTINCT)])
        del detector
        resnet = Path(work, "resnet50.onnx")
        write_file(random_resnet50(canvases), "fp32", canvases, resnet)
        detector = MaskDetector(resnet, provider)
        found["ResNet-50, FP32"] = _race(detector, folder, names[:resnet_images], rounds)
    threads, batch_size = decode_threads(), detector.session.batch_size
    table = Table(
        title=f"{_SIZE_WH[0]} x {_SIZE_WH[1]} JPEGs, batches of {batch_size}, "
        f"{threads} decode threads, {detector.session.provider}"
    )
    for name in ("", "images/s, files to rows", "images/s, session alone", "ratio", "aim"):
        table.add_column(name, justify="right" if name else "left")
    for name, speeds in found.items():
        table.add_row(
            name,
            f"{median(speeds.whole):.1f}",
            f"{median(speeds.session):.1f}",
            f"{speeds.ratio:.3f}",
            f">= {_AIMS[name]}",
        )
    report(
        table,
        batch_size=batch_size,
        threads=threads,
        provider=detector.session.provider,
        images_per_s={name: speeds.whole for name, speeds in found.items()},
        session_images_per_s={name: speeds.session for name, speeds in found.items()},
        ratio={name: speeds.ratio for name, speeds in found.items()},
    )


def _race(detector: MaskDetector, folder: Path, names: list[str], rounds: int) -> Speeds:
    distinct = _canvases(detector, folder, names[:_DISTINCT])
    batch_size = detector.session.batch_size
    sizes = [batch_size] * (len(names) // batch_size)
    if len(names) % batch_size:
        sizes.append(len(names) % batch_size)
    batch = np.resize(distinct, (batch_size, *distinct.shape[1:]))
    for count in set(sizes):
        detector.session.run(batch[:count])  # the first run of a shape allocates
    speeds = Speeds([], [])
    for _ in range(rounds):
        start = time.perf_counter()
        deque(predict_images(detector, folder.joinpath, names), maxlen=0)
        speeds.whole.append(len(names) / (time.perf_counter() - start))
        start = time.perf_counter()
        for count in sizes:
            detector.session.run(batch[:count])
        speeds.session.append(len(names) / (time.perf_counter() - start))
    return speeds


def _canvases(detector: MaskDetector, folder: Path, names: list[str]) -> Pixels:
    return np.stack([detector.make_canvas(folder / name)[0] for name in names])


if __name__ == "__main__":
    typer.run(main)
