"""`maskinfer predict` beside what one would write or install instead, on the same images.

    python benchmarks/rivals.py [--images 640] [--rounds 2] [--yolo yolo26n.onnx]
        [--yolo yolo26n_openvino_model]

- The loop of a homework: a Dataset that opens with Pillow, Resize, ToTensor, Normalize, a
  DataLoader of batches of 32 and two workers, ResNet-50 with two heads in eager torch, boxes into a
  CSV. Beside it `maskinfer predict` with the same weights (random ones: what they predict does not
  matter), exported in FP32 and in INT8.
- ultralytics' `YOLO(FILE).predict(folder, imgsz=224, stream=True)`, at a batch of 1 or 16,
  whichever is faster. Beside it `maskinfer predict` with the model that ships, in the same runtime.
  Only speed is compared: YOLO detects other things. Left out without `--yolo`, which names what
  `YOLO("yolo26n.pt").export(format="onnx", imgsz=224, dynamic=True)` writes, or "openvino".

Every contestant has a process of its own, warms up on a few images and is timed from the folder to
the last row on disk; each round is one such process of each, in turn. Figures are medians.
"""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from materials import in_a_process, report, write_photos
from rich.table import Table

from maskinfer.data.folders import list_images
from maskinfer.data.geometry import Geometry, place
from maskinfer.data.images import load_photo
from maskinfer.data.sources import open_source, survey
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.predicting import PredictSettings, local_engine, predict_source
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.providers import Provider, default_streams

_SIZE_WH = (640, 480)
_CANVAS = 224
_WARM_UP = 32
_CALIBRATING = 48
_HOMEWORK_BATCH, _HOMEWORK_WORKERS = 32, 2
_YOLO_BATCHES = (1, 16)
_HOMEWORK = "homework loop, torch eager"
_YOLO, _OPENVINO = "ultralytics, ONNX Runtime", "ultralytics, OpenVINO"
# What each is compared with.
_OURS = {
    "maskinfer predict, ResNet-50 FP32": _HOMEWORK,
    "maskinfer predict, ResNet-50 INT8": _HOMEWORK,
    "maskinfer predict, shipped, ONNX Runtime": _YOLO,
    "maskinfer predict, shipped, OpenVINO": _OPENVINO,
}


def main(
    images: Annotated[int, typer.Option(help="640 x 480 JPEGs.")] = 640,
    rounds: Annotated[int, typer.Option(help="Processes of each contestant.")] = 2,
    yolo: Annotated[
        list[Path] | None, typer.Option(help="An ONNX file, or a folder for OpenVINO.")
    ] = None,
) -> None:
    """Draw, export, time each contestant, print."""
    speeds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as work:
        folder, few = Path(work, "photos"), Path(work, "few")
        write_photos(folder, images, _SIZE_WH)
        write_photos(few, _WARM_UP, _SIZE_WH)
        weights, fp32, int8 = (Path(work, name) for name in ("weights", "fp32.onnx", "int8.onnx"))
        in_a_process(_write_networks, folder, weights, fp32, int8)
        contestants: dict[str, Callable[[], float]] = {
            _HOMEWORK: partial(in_a_process, _homework, weights, few, folder),
            **{
                name: partial(in_a_process, _maskinfer, model, provider, few, folder)
                for name, (model, provider) in zip(
                    _OURS,
                    (
                        (fp32, Provider.CPU),
                        (int8, Provider.CPU),
                        (shipped_model(), Provider.CPU),
                        (shipped_model(), Provider.OPENVINO),
                    ),
                    strict=True,
                )
            },
        }
        for file in yolo or []:
            for batch in _YOLO_BATCHES:
                runtime = _OPENVINO if file.is_dir() else _YOLO
                contestants[f"{runtime}, {file.stem}, batch {batch}"] = partial(
                    in_a_process, _ultralytics, file.absolute(), batch, few, folder
                )
        for _ in range(rounds):
            for name, timed in contestants.items():
                speeds.setdefault(name, []).append(images / timed())
    medians = {name: median(values) for name, values in speeds.items()}
    best = {
        rival: max(those)
        for rival in set(_OURS.values())
        if (those := [speed for name, speed in medians.items() if name.startswith(rival)])
    }
    ratios = {ours: medians[ours] / best[rival] for ours, rival in _OURS.items() if rival in best}
    table = Table(title=f"{images} JPEGs of {_SIZE_WH[0]} x {_SIZE_WH[1]}, folder to CSV")
    for name in ("", "images/s", "against"):
        table.add_column(name, justify="left" if name != "images/s" else "right")
    for name, speed in medians.items():
        against = f"{ratios[name]:.2f} x {_OURS[name]}" if name in ratios else ""
        table.add_row(name, f"{speed:.1f}", against)
    report(table, images=images, images_per_s=speeds, ratios=ratios)


def _write_networks(folder: Path, weights: Path, fp32: Path, int8: Path) -> None:
    from random_networks import random_resnet50, write_file
    from safetensors.torch import save_file

    geometry = Geometry.letterbox(_CANVAS)
    names = list_images(folder)[:_CALIBRATING]
    canvases = np.stack([place(load_photo(folder / name), geometry)[0] for name in names])
    network = random_resnet50(canvases)
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, weights)
    write_file(network, "fp32", canvases, fp32)
    write_file(network, "int8", canvases, int8)


def _timed(predict: Callable[[Path], None], few: Path, folder: Path) -> float:
    """Seconds that a contestant takes for the folder, after a few images."""
    predict(few)
    start = time.perf_counter()
    predict(folder)
    return time.perf_counter() - start


def _maskinfer(model: Path, provider: Provider, few: Path, folder: Path) -> float:
    """All that `maskinfer predict` does once it has loaded the model."""
    detector = MaskDetector(model, provider, streams=default_streams())

    def predict(images: Path) -> None:
        out = images.with_suffix(".csv")
        settings = PredictSettings(images=images, out=out, provider=provider, overwrite=True)
        source = open_source(images)
        engine = local_engine(detector, source, settings)
        predict_source(engine, detector, source, survey(source), settings)

    return _timed(predict, few, folder)


def _homework(weights: Path, few: Path, folder: Path) -> float:
    """As it is usually written."""
    import csv

    import random_networks
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from torch.utils.data import DataLoader
    from torchvision import transforms

    from maskinfer.train.networks.build import build

    model = build(random_networks.settings("resnet"))
    model.load_state_dict(load_file(weights))
    model.eval()
    transform = transforms.Compose(
        [
            transforms.Resize((_CANVAS, _CANVAS)),
            transforms.ToTensor(),
            transforms.Normalize((model.mean / 255).tolist(), (model.std / 255).tolist()),
        ]
    )
    model.normalise = lambda pixels: pixels  # type: ignore[method-assign]

    class Photos(torch.utils.data.Dataset[tuple[str, torch.Tensor]]):
        def __init__(self, folder: Path) -> None:
            self.paths = sorted(folder.glob("*.jpg"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> tuple[str, torch.Tensor]:
            path = self.paths[index]
            return path.name, transform(Image.open(path).convert("RGB"))

    def predict(images: Path) -> None:
        loader = DataLoader(
            Photos(images),
            batch_size=_HOMEWORK_BATCH,
            num_workers=_HOMEWORK_WORKERS,
            multiprocessing_context="fork",  # Linux's default, which this process lost by spawning
        )
        with torch.no_grad(), images.with_suffix(".csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["filename", "x", "y", "w", "h", "proper_mask"])
            for names, batch in loader:
                faces = model.detect(batch)
                for name, box, probability in zip(
                    names, faces.boxes_xywh.tolist(), faces.proper_mask.tolist(), strict=True
                ):
                    writer.writerow([name, *map(round, box), probability >= 0.5])

    return _timed(predict, few, folder)


def _ultralytics(model: Path, batch: int, few: Path, folder: Path) -> float:
    """As its manual has it for many images."""
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["YOLO_OFFLINE"] = "true"
    from ultralytics import YOLO

    network = YOLO(model, task="detect")

    def predict(images: Path) -> None:
        with images.with_suffix(".csv").open("w") as stream:
            for result in network.predict(
                images, imgsz=_CANVAS, stream=True, batch=batch, device="cpu", verbose=False
            ):
                stream.write(f"{Path(result.path).name},{result.boxes.xywh.tolist()}\n")

    return _timed(predict, few, folder)


if __name__ == "__main__":
    typer.run(main)
