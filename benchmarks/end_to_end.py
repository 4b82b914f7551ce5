"""What of the network's own speed is left from JPEG files to rows.

    python benchmarks/end_to_end.py [--images 2000] [--resnet-images 500] [--rounds 2]

For the model that ships, and for a ResNet-50 with random weights in FP32: `predict_images` with its
default settings over 640 x 480 JPEGs, in turn with sessions alone on canvases that are drawn
already, in batches of the same size: the same session, which divides the cores among several
streams, and one that gives all cores to one batch after another, as onnxruntime does by itself. The
ratio is to the faster of the two in the same round, and the median of the rounds. And to the bound:
what decoding alone, with the default threads, and the faster session leave when both share the
cores, 1 / (1 / decoding + 1 / session) images/s.
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
from random_networks import random_resnet50, write_file
from rich.table import Table

from maskinfer.data.folders import list_images
from maskinfer.data.pixels import Pixels
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.speed import time_session
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.providers import default_streams
from maskinfer.runtime.session import Session
from maskinfer.threads import decode_threads, map_ahead

_SIZE_WH = (640, 480)
_DISTINCT = 50
_CALIBRATING = 32  # images that ResNet-50's batch normalisation is measured on
_BOUND_AIM = 0.9
_AIMS = {"shipped": 0.85, "ResNet-50, FP32": 0.95}


@dataclass(frozen=True)
class Speeds:
    """Images/s of each round."""

    whole: list[float]
    session: list[float]
    one_stream: list[float]
    decoding: list[float]

    @property
    def bound_ratio(self) -> float:
        """To what decoding and the faster session leave together; the median over the rounds."""
        rounds = zip(self.whole, self.session, self.one_stream, self.decoding, strict=True)
        return median(whole * (1 / decoding + 1 / max(alone)) for whole, *alone, decoding in rounds)

    @property
    def ratio(self) -> float:
        """To the faster session of a round; the median over the rounds."""
        rounds = zip(self.whole, self.session, self.one_stream, strict=True)
        return median(whole / max(alone) for whole, *alone in rounds)


def main(
    images: Annotated[int, typer.Option(help="Images a pass of the shipped model.")] = 2000,
    resnet_images: Annotated[int, typer.Option(help="Images a pass of ResNet-50.")] = 500,
    rounds: Annotated[int, typer.Option(help="Passes of each.")] = 2,
    provider: Annotated[str, typer.Option(help="auto, cuda, tensorrt or cpu.")] = "auto",
) -> None:
    """Draw, export, measure, print."""
    models: dict[str, Speeds] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "photos")
        write_photos(folder, max(images, resnet_images), _SIZE_WH, distinct=_DISTINCT)
        names = list_images(folder)
        detector = MaskDetector(shipped_model(), provider, streams=default_streams())
        models["shipped"] = _race(detector, folder, names[:images], rounds)
        canvases = _canvases(detector, folder, names[: min(_CALIBRATING, _DISTINCT)])
        del detector
        resnet = Path(work, "resnet50.onnx")
        write_file(random_resnet50(canvases), "fp32", canvases, resnet)
        detector = MaskDetector(resnet, provider, streams=default_streams())
        models["ResNet-50, FP32"] = _race(detector, folder, names[:resnet_images], rounds)
    threads, batch_size = decode_threads(), detector.session.batch_size
    table = Table(
        title=f"{_SIZE_WH[0]} x {_SIZE_WH[1]} JPEGs, batches of {batch_size}, "
        f"{threads} decode threads, {detector.session.provider}"
    )
    for name in (
        "",
        "images/s, files to rows",
        "session alone",
        "one stream",
        "decoding",
        "ratio",
        "aim",
        "to the bound",
        "aim",
    ):
        table.add_column(name, justify="right" if name else "left")
    for name, speeds in models.items():
        table.add_row(
            name,
            f"{median(speeds.whole):.1f}",
            f"{median(speeds.session):.1f}",
            f"{median(speeds.one_stream):.1f}",
            f"{median(speeds.decoding):.1f}",
            f"{speeds.ratio:.3f}",
            f">= {_AIMS[name]}",
            f"{speeds.bound_ratio:.3f}",
            f">= {_BOUND_AIM}",
        )
    report(
        table,
        batch_size=batch_size,
        threads=threads,
        provider=detector.session.provider,
        images_per_s={name: speeds.whole for name, speeds in models.items()},
        session_images_per_s={name: speeds.session for name, speeds in models.items()},
        one_stream_images_per_s={name: speeds.one_stream for name, speeds in models.items()},
        decoding_images_per_s={name: speeds.decoding for name, speeds in models.items()},
        bound_ratio={name: speeds.bound_ratio for name, speeds in models.items()},
        ratio={name: speeds.ratio for name, speeds in models.items()},
    )


def _race(detector: MaskDetector, folder: Path, names: list[str], rounds: int) -> Speeds:
    distinct = _canvases(detector, folder, names[:_DISTINCT])
    batch = np.resize(distinct, (detector.session.batch_size, *distinct.shape[1:]))
    one_stream = Session(detector.session.path, detector.session.provider, len(batch))
    speeds = Speeds([], [], [], [])
    for _ in range(rounds):
        start = time.perf_counter()
        deque(predict_images(detector, folder.joinpath, names), maxlen=0)
        taken = time.perf_counter() - start
        speeds.whole.append(len(names) / taken)
        start = time.perf_counter()
        deque(map_ahead(detector.make_canvas, [folder / n for n in names], ahead=64), maxlen=0)
        speeds.decoding.append(len(names) / (time.perf_counter() - start))
        for session, images_per_s in (
            (detector.session, speeds.session),
            (one_stream, speeds.one_stream),
        ):
            alone = time_session(session, batch, taken / 2)
            images_per_s.append(alone.images / alone.seconds)
    return speeds


def _canvases(detector: MaskDetector, folder: Path, names: list[str]) -> Pixels:
    return np.stack([detector.make_canvas(folder / name)[0] for name in names])


if __name__ == "__main__":
    typer.run(main)
