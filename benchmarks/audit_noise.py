"""How many planted wrong labels `maskinfer audit` finds.

    python benchmarks/audit_noise.py [--images 1600] [--seed 1] [--mixed-precision bf16]

Draws a data set, turns 8 % of its labels, shifts 5 % of its boxes by four to ten tenths of their
size, audits it, and prints precision and recall at the planted number: where so many are looked at
as were planted, the two are one figure. The last line of the output is JSON.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from materials import maskinfer_command, report
from rich.table import Table

from maskinfer.curation.opinions import by_box, by_label
from maskinfer.data.labels import Label, format_name, parse_name
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.inference.results import Prediction
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

_TURNED, _SHIFTED = 0.08, 0.05  # shares of the images
_AIM = 0.8  # recall of turned labels


def main(
    images: Annotated[int, typer.Option(help="To draw.")] = 1600,
    seed: Annotated[int, typer.Option(help="Of the drawings and of the noise.")] = 1,
    mixed_precision: Annotated[str, typer.Option(help="As for maskinfer audit.")] = "auto",
    work: Annotated[Path | None, typer.Option(help="Where data and audit are kept.")] = None,
) -> None:
    """Draw, plant, audit, count."""
    folder = work or Path(tempfile.mkdtemp(prefix="maskinfer-audit-"))
    data = folder / "drawn"
    write_samples(data, SynthSettings(images, 1000 + seed, 224))
    turned, shifted = _plant(data, np.random.default_rng(seed))
    began = time.monotonic()
    options = ("--out", folder / "audit", "--mixed-precision", mixed_precision)
    subprocess.run(maskinfer_command("audit", data, *options), check=True)
    minutes = (time.monotonic() - began) / 60
    facts = json.loads((folder / "audit" / "facts.json").read_text())
    predictions = [_prediction(values) for values in facts["opinions"]]

    table = Table("planted", "images", "found among as many", "among half as many more", "aim")
    figures = {}
    for what, planted, ranked, aim in (
        ("turned labels", turned, by_label(predictions), f">= {_AIM}"),
        ("shifted boxes", shifted, by_box(predictions), ""),
    ):
        names = [prediction.filename for prediction in ranked]
        at, more = (
            len(planted & set(names[:count])) / len(planted)
            for count in (len(planted), round(1.5 * len(planted)))
        )
        figures[what] = {"planted": len(planted), "recall": at, "recall_at_1.5": more}
        table.add_row(what, str(len(planted)), f"{at:.3f}", f"{more:.3f}", aim)
    report(table, images=images, seed=seed, minutes=round(minutes, 1), **figures)


def _plant(data: Path, rng: np.random.Generator) -> tuple[set[str], set[str]]:
    """Turn labels and shift boxes; returns the new names of both."""
    paths = sorted(data.glob("*.jpg"))
    order = rng.permutation(len(paths))
    turns, shifts = round(_TURNED * len(paths)), round(_SHIFTED * len(paths))
    planted: tuple[set[str], set[str]] = (set(), set())
    for place, index in enumerate(order[: turns + shifts]):
        path = paths[index]
        label = parse_name(path.name)
        box, proper = label.box_xywh, label.proper_mask
        if place < turns:
            proper = not proper
        else:
            box = _shifted(box, rng)
        name = format_name(Label(label.id, box, proper))
        path.rename(path.with_name(name))
        planted[place >= turns].add(name)
    return planted


def _shifted(
    box_xywh: tuple[int, int, int, int], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A box moved in any direction; where it would leave the image at the left or top, it stops."""
    x, y, w, h = box_xywh
    angle, by = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0)
    return (
        max(0, round(x + np.cos(angle) * by * w)),
        max(0, round(y + np.sin(angle) * by * h)),
        w,
        h,
    )


def _prediction(values: dict[str, Any]) -> LabelledPrediction:
    box, probability, score = (values[name] for name in ("found_xywh", "probability", "score"))
    face = None if box is None else Prediction(tuple(box), probability >= 0.5, probability, score)
    return LabelledPrediction(values["filename"], values["box_xywh"], values["proper_mask"], face)


if __name__ == "__main__":
    typer.run(main)
