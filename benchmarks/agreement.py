"""How Faster R-CNN's number of proposals trades agreement with torchvision for speed.

    python benchmarks/agreement.py RUN DIR [DIR ...]

RUN is a trained `fasterrcnn` run, each DIR a folder of photos. For each number of proposals the run
is exported, and its faces compared with those of torchvision's own evaluation of the checkpoint
(1,000 proposals, non-maximum suppression of proposals and of boxes) on every photo, side by side.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from side_by_side import Way, eager, onnx, race

from maskinfer.export.graph import ContractModule, checkpoint_function, to_onnx, write_onnx
from maskinfer.export.matching import match
from maskinfer.export.settings import DEFAULT_FACES, GraphOptions
from maskinfer.export.verification import draw_evenly
from maskinfer.runtime.model_file import ModelMetadata, WorkingPoint
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
        WorkingPoint(),
        WorkingPoint(),
        config.normalisation,
        "fp32",
        __version__,
        faces=DEFAULT_FACES,
    )
    ways: dict[str, Way] = {"torchvision": eager(checkpoint_function(network, GraphOptions()))}
    with tempfile.TemporaryDirectory() as work:
        for count in proposals:
            file = Path(work, f"{count}.onnx")
            module = ContractModule(network, GraphOptions(proposals=count))
            graph = to_onnx(module, geometry.canvas)
            write_onnx(graph, metadata, file)
            ways[str(count)] = onnx(file, _BATCH)
        outputs, speeds = race(ways, canvases, _BATCH)

    table = Table(title=f"{len(canvases)} photos, {geometry.canvas} px, against torchvision")
    columns = ("proposals", "faces", "unmatched", "labels", "mean IoU", "boxes within 0.1 px")
    for name in (*columns, "images/s", "speed"):
        table.add_column(name, justify="right")
    for name, output in outputs.items():
        matches = match(output, outputs["torchvision"])
        labels = (matches.ours[:, 4] >= 0.5) == (matches.theirs[:, 4] >= 0.5)
        apart = np.abs(matches.ours[:, :4] - matches.theirs[:, :4]).max(axis=1)
        table.add_row(
            name,
            str(matches.faces),
            str(matches.unmatched),
            f"{labels.mean():.1%}",
            f"{matches.mean_iou:.4f}",
            f"{(apart <= 0.1).mean():.1%}",
            f"{speeds[name]:.1f}",
            f"{speeds[name] / speeds['torchvision']:.2f} x",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
