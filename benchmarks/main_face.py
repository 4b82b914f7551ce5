"""What `--face main` should lean to the left: IoU by how much, on a run's validation part.

    python benchmarks/main_face.py RUN [--also DIR] [--canvas 224] [--score 0.4] [--lean 0.4 ...]

RUN is a trained run of a network that sees several faces. Each data set of its validation part, and
each folder named with `--also`, is answered with the best-scored, the left-most and the largest
face, and with the main one at several leans. Run it where the data still lies.
"""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.dataset import Dataset
from maskinfer.data.geometry import Geometry, canvas_to_image
from maskinfer.data.labels import Sample
from maskinfer.export.graph import checkpoint_function
from maskinfer.export.settings import GraphOptions
from maskinfer.inference import choosing
from maskinfer.inference.choosing import RIVAL_SCORE, Choice, FaceRule, choose
from maskinfer.train.data.batches import Key, SampleCanvases
from maskinfer.train.data.parts import read_parts
from maskinfer.train.networks.network import Network
from maskinfer.train.runs.checkpoint import Checkpoint

_LEANS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0)
_BATCH = 8


def main(
    run: Annotated[Path, typer.Argument(help="A trained run of lite or fasterrcnn.")],
    also: Annotated[list[Path] | None, typer.Option(help="Folders of labelled images.")] = None,
    canvas: Annotated[int | None, typer.Option(help="In place of the run's own.")] = None,
    score: Annotated[float, typer.Option(help="Least of a face that is chosen.")] = RIVAL_SCORE,
    lean: Annotated[list[float] | None, typer.Option(help="Leans to try.")] = None,
) -> None:
    """Print mean IoU, a row for each way to choose, a column for each set of images."""
    _, config, network, *_ = Checkpoint.load(run)
    settings = config.settings
    if not network.learns_all_faces:
        raise SystemExit(f"{run}: a {settings.model} sees one face only; give a lite or fasterrcnn")
    geometry = settings.geometry if canvas is None else Geometry.letterbox(canvas)
    network.canvas = geometry.canvas

    sets: dict[str, list[Sample]] = defaultdict(list)
    for sample in read_parts(settings.data, settings.validation, settings.seed).validation:
        sets[f"{sample.path.parent.parent.name}, validation"].append(sample)
    for folder in also or []:
        sets["/".join(folder.parts[-2:])] = Dataset(folder).samples("test").samples

    choosing.RIVAL_SCORE = score  # constants of ours, but what is measured here
    rules: dict[str, tuple[FaceRule, float]] = {
        face: (face, 0.0) for face in ("best", "left", "largest")
    }
    rules |= {f"main, {lean}": ("main", lean) for lean in lean or _LEANS}
    overlaps = {
        name: _overlaps(network, samples, geometry, rules) for name, samples in sets.items()
    }
    table = Table("face", *(f"{name} ({len(samples)})" for name, samples in sets.items()))
    for answer in rules:
        table.add_row(answer, *(f"{np.mean(ious[answer]):.3f}" for ious in overlaps.values()))
    Console(width=120).print(table)


@torch.inference_mode()
def _overlaps(
    network: Network,
    samples: list[Sample],
    geometry: Geometry,
    rules: dict[str, tuple[FaceRule, float]],
) -> dict[str, list[float]]:
    canvases = SampleCanvases(samples, geometry)
    ious: dict[str, list[float]] = {name: [] for name in rules}
    find = checkpoint_function(network, GraphOptions())
    for start in range(0, len(samples), _BATCH):
        end = min(start + _BATCH, len(samples))
        batch = canvases.collate([canvases[Key(0, index, index)] for index in range(start, end)])
        faces = find(batch.canvases)
        truth = [sample.box_xywh for sample in batch.samples]
        for name, (rule, choosing.LEAN) in rules.items():
            choice = Choice(rule, 0.0, 0.5)
            boxes = np.array(
                [
                    boxes_xywh[choose(boxes_xywh, score, choice, geometry.canvas)[0]]
                    for boxes_xywh, score in zip(
                        faces.boxes_xywh.numpy(), faces.score.numpy(), strict=True
                    )
                ]
            )
            ious[name] += iou_xywh(canvas_to_image(boxes, batch.placements), truth).tolist()
    return ious


if __name__ == "__main__":
    typer.run(main)
