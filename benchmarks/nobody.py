"""How often a model says "no face" of pictures without anyone, and how often of labelled faces.

    python benchmarks/nobody.py [--data single/test] [--model FILE] [--min-score S]

The pictures: backgrounds of `maskinfer synth` without a person, plain colours, noise, and parts of
a page of ours that shows charts and tables.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from materials import report
from PIL import Image
from rich.table import Table

from maskinfer import MaskDetector
from maskinfer.data.boxes import iou_xywh
from maskinfer.data.dataset import Dataset
from maskinfer.train.synthetic.photo import develop, draw_background

_PAGE = Path("docs/report.png")
_SIDE_PX = 320


def main(
    data: Annotated[Path, typer.Option(help="A data set with one labelled face an image.")] = Path(
        "sample_images"
    ),
    model: Annotated[Path | None, typer.Option(help="By default the one that ships.")] = None,
    min_score: Annotated[float | None, typer.Option(help="By default the model's own.")] = None,
    count: Annotated[int, typer.Option(help="Pictures of each kind.")] = 75,
    seed: int = 11,
) -> None:
    """Draw, predict, count."""
    detector = MaskDetector(model, "cpu", min_score=min_score)
    table = Table("pictures", "count", "no face", title=f"least score {detector.choice.min_score}")
    kinds: dict[str, list[Image.Image]] = {}
    for kind, picture in _pictures(np.random.default_rng(seed), count):
        kinds.setdefault(kind, []).append(picture)
    empty = {kind: sum(p is None for p in detector(pictures)) for kind, pictures in kinds.items()}
    for kind, pictures in kinds.items():
        table.add_row(kind, str(len(pictures)), f"{empty[kind] / len(pictures):.1%}")
    total = sum(map(len, kinds.values()))
    table.add_row("all without anyone", str(total), f"{sum(empty.values()) / total:.1%}")
    samples = Dataset(data).test_part().samples("test").samples
    answers = detector([sample.path for sample in samples])
    lost = sum(answer is None for answer in answers)
    table.add_row(f"labelled faces, {data}", str(len(samples)), f"{lost / len(samples):.1%}")
    missed = sum(
        answer is None or float(iou_xywh(answer.box_xywh, sample.box_xywh)) < 0.5
        for answer, sample in zip(answers, samples, strict=True)
    )
    table.add_row("the same: none, or IoU < 0.5", "", f"{missed / len(samples):.1%}")
    report(table, empty=empty, of=total, lost=lost, labelled=len(samples))


def _pictures(rng: np.random.Generator, count: int) -> Iterator[tuple[str, Image.Image]]:
    page = Image.open(_PAGE).convert("RGB")
    for _ in range(count):
        size_wh = (_SIDE_PX, int(rng.integers(_SIDE_PX // 2, _SIDE_PX * 3 // 2)))
        yield "drawn backgrounds", develop(rng, draw_background(rng, size_wh))
        yield "plain colours", Image.new("RGB", size_wh, tuple(rng.integers(0, 256, 3).tolist()))
        cells = int(rng.choice([8, 32, 128, _SIDE_PX]))
        noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        yield "noise", Image.fromarray(noise).resize(size_wh, Image.Resampling.BICUBIC)
        side = int(rng.integers(200, 700))
        x, y = (int(rng.integers(0, length - side)) for length in page.size)
        yield "screenshots", page.crop((x, y, x + side, y + side))


if __name__ == "__main__":
    typer.run(main)
