"""How Faster R-CNN's number of proposals trades agreement with torchvision for speed.

    python benchmarks/agreement.py RUN DIR [DIR ...]

RUN is a trained `fasterrcnn` run, each DIR a folder of photos. For each number of proposals the run
is exported, and the file compared with torchvision's own evaluation of the checkpoint (1,000
proposals, non-maximum suppression of proposals and of boxes) on every photo, side by side.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from side_by_side import eager, onnx, race

from maskinfer.data.boxes import iou_xywh
from maskinfer.export.graph import ContractModule, to_onnx, write_onnx
from maskinfer.export.settings import GraphOptions
from maskinfer.export.verification import draw_evenly
from maskinfer.runtime.model_file import ModelMetadata
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.version import __version__

_BATCH = 2  # at 1,000 proposals, 8 images take more than 24 GB
_ALL = 100_000  # of the photos


def main(
    run: Annotated[Path, typer.Argument(help="A trained fasterrcnn run.")],
    folders: Annotated[list[Path], typer.Argument(help="Folders of photos.")],
    proposals: Annotated[list[int], typer.Option(help="Numbers to try.")] = [  # noqa: B006
        32,
        64,
        128,
        256,
        384,
        512,
        1000,
    ],
) -> None:
    """Export at each number of proposals, run, compare."""
    _, config, network, *_ = Checkpoint.load(run)
    geometry = config.settings.geometry
    canvases = draw_evenly(folders, geometry, _ALL)
    metadata = ModelMetadata(
        config.settings.model,
        config.settings.backbone,
        geometry,
        0.5,
        config.normalisation,
        "fp32",
        __version__,
    )
    ways = {"torchvision": eager(network)}
    with tempfile.TemporaryDirectory() as work:
        for count in proposals:
            file = Path(work, f"{count}.onnx")
            module = ContractModule(network, GraphOptions(proposals=count))
            graph = to_onnx(module, geometry.canvas)
            write_onnx(graph, metadata, file)
            ways[str(count)] = onnx(file, _BATCH)
        outputs, speeds = race(ways, canvases, _BATCH)

    table = Table(title=f"{len(canvases)} photos, {geometry.canvas} px, against torchvision")
    for name in ("proposals", "labels", "mean IoU", "boxes within 0.1 px", "images/s", "speed"):
        table.add_column(name, justify="right")
    own = outputs["torchvision"]
    for name, output in outputs.items():
        labels = (output.proper_mask >= 0.5) == (own.proper_mask >= 0.5)
        apart = np.abs(output.boxes_xywh - own.boxes_xywh).max(axis=1)
        table.add_row(
            name,
            f"{labels.mean():.1%}",
            f"{iou_xywh(output.boxes_xywh, own.boxes_xywh).mean():.4f}",
            f"{(apart <= 0.1).mean():.1%}",
            f"{speeds[name]:.1f}",
            f"{speeds[name] / speeds['torchvision']:.2f} x",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
