"""Timing several ways of computing the same, batch by batch in turn, so that drift affects all."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from maskinfer.data.pixels import Pixels
from maskinfer.export.parity import Find, joined
from maskinfer.runtime.session import Outputs, Session

Way = Callable[[Pixels], Outputs]


def eager(find: Find) -> Way:
    """A torch network's own evaluation."""

    def compute(canvases: Pixels) -> Outputs:
        with torch.inference_mode():
            return Outputs(*(t.numpy() for t in find(torch.from_numpy(canvases))))

    return compute


def onnx(file: Path, batch_size: int) -> Way:
    """A model file on the CPU."""
    return Session(file, "cpu", batch_size).run


def race(
    ways: Mapping[str, Way], canvases: Pixels, batch_size: int
) -> tuple[dict[str, Outputs], dict[str, float]]:
    """Time every way on every batch.

    Args:
        ways: by name.
        canvases: (N, S, S, 3).
        batch_size: images per batch.

    Returns:
        by way, its outputs, and its median speed in images/s.
    """
    for way in ways.values():
        way(canvases[:batch_size])  # the first batch of each allocates
    parts: dict[str, list[Outputs]] = {name: [] for name in ways}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for start in range(0, len(canvases), batch_size):
        batch = canvases[start : start + batch_size]
        for name, way in ways.items():
            began = time.perf_counter()
            parts[name].append(way(batch))
            speeds[name].append(len(batch) / (time.perf_counter() - began))
    return (
        {name: joined(batches) for name, batches in parts.items()},
        {name: float(np.median(images_per_s)) for name, images_per_s in speeds.items()},
    )
