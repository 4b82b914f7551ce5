"""What a change of recipe is worth, by cross-validation on photos that a run did not learn.

    python benchmarks/folds.py RECIPE.toml --data left --data each [--data more ...] --runs RUNS

Deals the training photos of the first two data sets, whole photos and crops of each face, into
three folds, and trains `lite` once for each fold that is asked for, on the other folds and all
further data. Faces without a mask that have no fold of their own are dealt too. The last weights
are then asked about the photos of their fold, whatever the canvas. No test part is read. Prints a
table; the last line of the output is JSON.

Figures of crops, main face, faces of at least 20 pixels: mean IoU; area under the ROC curve of
proper against no mask, and against worn incorrectly; balanced accuracy at the best threshold; at
that threshold the share right of masks worn incorrectly and of unmasked faces dealt. Of whole
photos at 224 and 640 px: AP50 of all faces, mean of both labels; area under the ROC curve of
"somebody is not properly masked"; IoU of the left-most face.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from materials import report
from numpy.typing import NDArray
from rich.table import Table

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.dataset import Dataset
from maskinfer.data.geometry import Geometry, canvas_to_image
from maskinfer.data.labels import Sample
from maskinfer.evaluation.average_precision import Detected, average_precision
from maskinfer.export.graph import ContractModule
from maskinfer.export.settings import GraphOptions
from maskinfer.inference.choosing import Choice, choose
from maskinfer.train.audit.folds import deal
from maskinfer.train.data.batches import Key, SampleCanvases
from maskinfer.train.data.parts import Parts, read_parts
from maskinfer.train.display import Display
from maskinfer.train.loop import train
from maskinfer.train.networks.network import Network
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.checkpoint import Checkpoint

_FOLDS = 3
LEAST_SIDE = 20  # pixels, of the faces of crops
_MIN_SCORE = 0.4
_BATCH = 8
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Answer(NamedTuple):
    """A sample and the faces that the network sees in it, boxes in image pixels."""

    sample: Sample
    boxes_xywh: Boxes
    proper_mask: NDArray[np.float32]
    score: NDArray[np.float32]


def main(
    recipe: str,
    data: Annotated[list[Path], typer.Option()],
    runs: Annotated[Path, typer.Option(help="Where run folders go.")],
    fold: Annotated[list[int] | None, typer.Option(help="By default all three.")] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train, measure and print."""
    settings = recipe_settings("lite", recipe, tuple(map(str, data)))
    settings = dataclasses.replace(
        settings, validation=0.0, patience=None, seed=seed, epochs=epochs or settings.epochs
    )
    parts = read_parts(settings.data, 0.0, seed)
    held_from = tuple(str(folder.resolve()) for folder in data[:2])
    sources = _sources(parts.train, data)
    fold_of: dict[str, int] = {}
    for of_data in (True, False):  # each kind alone, so that further data leaves the folds alone
        photos = sorted(
            {
                source
                for sample, source in zip(parts.train, sources, strict=True)
                if str(sample.path.resolve()).startswith(held_from) is of_data
                and (of_data or not sample.box_known)
            }
        )
        if photos:
            fold_of |= dict(zip(photos, deal(photos, _FOLDS, 0), strict=True))
    table = Table("fold", "figure", "value")
    rows = []
    for number in fold if fold else range(_FOLDS):
        mine = [fold_of.get(source) == number for source in sources]
        held = [s for s, is_held in zip(parts.train, mine, strict=True) if is_held]
        learned = [s for s, is_held in zip(parts.train, mine, strict=True) if not is_held]
        few = held[:: len(held) // 64]
        its = Parts(learned, [], few, [], parts.names)
        run = train(settings, runs, datetime.now(), Display(), its)
        figures = _measure(Checkpoint.load(run.path).network, held, data)
        rows.append({"recipe": Path(recipe).stem, "fold": number, "run": str(run.path), **figures})
        print(json.dumps(rows[-1]), flush=True)
        for name, value in figures.items():
            table.add_row(str(number), name, f"{value:.3f}")
    report(table, rows=rows)


def _sources(samples: Sequence[Sample], data: Sequence[Path]) -> list[str]:
    sets = [(str(folder.resolve()), Dataset(folder.resolve())) for folder in data]
    sources = []
    for sample in samples:
        path = sample.path.resolve()
        of = next(dataset for folder, dataset in sets if str(path).startswith(f"{folder}/"))
        sources.append(of.photo_of(path))
    return sources


def _measure(network: Network, held: Sequence[Sample], data: Sequence[Path]) -> dict[str, float]:
    whole, each = (
        [s for s in held if str(s.path.resolve()).startswith(f"{folder.resolve()}/")]
        for folder in data[:2]
    )
    each = [s for s in each if min(s.box_xywh[2:]) >= LEAST_SIDE]
    bare = [s for s in held if not s.box_known and not s.proper_mask]
    options = GraphOptions(faces=64, temperature=1.0, proposals=1)
    module = ContractModule(network, options).to(DEVICE)
    figures = _crops(list(answers(module, each, 224)), list(answers(module, bare, 224)))
    for canvas in (224, 640):
        figures |= _photos(list(answers(module, whole, canvas)), canvas)
    return figures


def answers(module: ContractModule, samples: Sequence[Sample], canvas: int) -> Iterator[Answer]:
    """What a network on `DEVICE` sees in each sample, on canvases of that many pixels."""
    canvases = SampleCanvases(samples, Geometry.letterbox(canvas))
    for start in range(0, len(samples), _BATCH):
        indices = range(start, min(start + _BATCH, len(samples)))
        items = [canvases[Key(0, 0, index)] for index in indices]
        with torch.no_grad():
            canvases_seen = torch.from_numpy(np.stack([item.canvas for item in items]))
            outputs = [output.cpu().numpy() for output in module(canvases_seen.to(DEVICE))]
        for item, boxes, proper, score in zip(items, *outputs, strict=True):
            real = score > 0
            placements = [item.placement] * int(real.sum())
            yield Answer(
                item.sample, canvas_to_image(boxes[real], placements), proper[real], score[real]
            )


def main_face(answer: Answer, rule: str = "main", canvas: int = 224) -> int | None:
    """Which of the faces is answered; None where there is none."""
    chosen = choose(answer.boxes_xywh, answer.score, Choice(rule, 0.0, 0.5), canvas)  # type: ignore[arg-type]
    return next(iter(chosen), None)


def _crops(answers: list[Answer], bare: list[Answer]) -> dict[str, float]:
    proper = np.array([a.sample.proper_mask for a in answers])
    wrong = np.array([a.sample.worn_incorrectly is True for a in answers])
    chosen = [main_face(answer) for answer in answers]
    ious = [
        0.0 if i is None else float(iou_xywh(a.boxes_xywh[i], a.sample.box_xywh))
        for a, i in zip(answers, chosen, strict=True)
    ]
    said = np.array(
        [0.5 if i is None else a.proper_mask[i] for a, i in zip(answers, chosen, strict=True)]
    )
    of_bare = np.array([a.proper_mask[0] if len(a.score) else 0.5 for a in bare])
    thresholds = np.linspace(0.02, 0.98, 97)
    balanced = [((said[proper] >= t).mean() + (said[~proper] < t).mean()) / 2 for t in thresholds]
    best = thresholds[int(np.argmax(balanced))]
    return {
        "IoU": float(np.mean(ious)),
        "lost": float(np.mean(np.array(ious) < 0.5)),
        "AUC no mask": _auc(said[proper], said[~proper & ~wrong]),
        "AUC incorrectly": _auc(said[proper], said[wrong]),
        "balanced": float(max(balanced)),
        "proper right": float((said[proper] >= best).mean()),
        "no mask right": float((said[~proper & ~wrong] < best).mean()),
        "incorrectly right": float((said[wrong] < best).mean()),
        "bare right": float((of_bare < best).mean()) if len(bare) else float("nan"),
    }


def _photos(answers: list[Answer], canvas: int) -> dict[str, float]:
    ap = []
    for label in (True, False):
        detected = [
            Detected(
                np.array([f.box_xywh for f in a.sample.faces if f.proper_mask == label]).reshape(
                    -1, 4
                ),
                a.boxes_xywh.astype(np.float64),
                (a.score * (a.proper_mask if label else 1 - a.proper_mask)).astype(np.float64),
            )
            for a in answers
        ]
        figures = average_precision(detected)
        ap.append(figures.ap50 if figures else float("nan"))
    everyone = np.array([all(f.proper_mask for f in a.sample.faces) for a in answers])
    least = np.array([a.proper_mask[a.score >= _MIN_SCORE].min(initial=1.0) for a in answers])
    lefts = [main_face(a, "left", canvas) for a in answers]
    left = [
        0.0 if i is None else float(iou_xywh(a.boxes_xywh[i], a.sample.box_xywh))
        for a, i in zip(answers, lefts, strict=True)
    ]
    return {
        f"AP50 at {canvas}": float(np.mean(ap)),
        f"improper AP50 at {canvas}": ap[1],
        f"photo AUC at {canvas}": _auc(least[everyone], least[~everyone]),
        f"left IoU at {canvas}": float(np.mean(left)),
    }


def _auc(high: NDArray[np.float64], low: NDArray[np.float64]) -> float:
    if not len(high) or not len(low):
        return float("nan")
    above = (high[:, None] > low[None]).mean() + (high[:, None] == low[None]).mean() / 2
    return float(above)


if __name__ == "__main__":
    typer.run(main)
