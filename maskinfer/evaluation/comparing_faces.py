"""Two models against every annotated face: which one's verdicts about photos are better."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskinfer.inference.detector import MaskDetector

from .all_faces import evaluate_faces
from .comparing import Comparison, Figure, Pair, halves, pair_up
from .face_metrics import AllFacesMetrics, measure_faces
from .photo_faces import PhotoFaces
from .significance import bootstrap_interval


@dataclass(frozen=True)
class AllFacesComparison(Comparison[PhotoFaces]):
    """Two models' predictions of every face; an image is right where the verdict about it is."""

    @cached_property
    def metrics_a(self) -> AllFacesMetrics:
        """A's figures over the pairs."""
        return measure_faces([pair.a for pair in self.pairs])

    @cached_property
    def metrics_b(self) -> AllFacesMetrics:
        """B's figures over the pairs."""
        return measure_faces([pair.b for pair in self.pairs])

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures over the pairs, of both models."""
        a, b = self.metrics_a.figures(), self.metrics_b.figures()
        intervals = {
            "photos, accuracy": self.accuracy_interval(),
            "photos, balanced accuracy": bootstrap_interval(self._balanced_differences()),
        }
        return [Figure(name, a[name], b[name], intervals.get(name)) for name in a]

    def apart(self, pair: Pair[PhotoFaces]) -> float:
        """The difference in the number of faces that are called as labelled."""
        return abs(pair.b.right - pair.a.right)

    def metrics_facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A's and B's figures over the pairs, fit for JSON."""
        return self.metrics_a.to_dict(), self.metrics_b.to_dict()

    def pair_facts(self, pair: Pair[PhotoFaces]) -> dict[str, Any]:
        """The annotated faces and both models' predictions, fit for JSON."""
        a, b = pair.a.to_dict(), pair.b.to_dict()
        answer = ("called", "correct", "faces", "predicted")
        return {
            **{name: value for name, value in a.items() if name not in answer},
            "a": {name: a[name] for name in answer},
            "b": {name: b[name] for name in answer},
        }

    def _balanced_differences(self) -> list[float]:
        """Of each photo, whose mean is the difference in balanced accuracy.

        Photos of the rarer label weigh more; the weights stay what they are when photos are drawn.
        """
        proper = sum(pair.a.all_proper for pair in self.pairs)
        counts = {True: proper, False: len(self.pairs) - proper}
        present = sum(count > 0 for count in counts.values())
        return [
            (pair.b.correct - pair.a.correct)
            * len(self.pairs)
            / (present * counts[pair.a.all_proper])
            for pair in self.pairs
        ]


def compare_faces(
    detector_a: MaskDetector,
    detector_b: MaskDetector,
    folder: Path,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> AllFacesComparison:
    """Measure two models on every annotated face, as `compare_models` does on one an image.

    Args:
        detector_a: one model, asked for every face.
        detector_b: the other, or the same.
        folder: of labelled images.
        on_progress: called with the number of images done so far, and of all; each counts twice.

    Raises:
        DatasetError: not one labelled image can be measured by both, or a list is damaged.
        MaskinferError: a model fails.
    """
    first, second = halves(on_progress)
    a = evaluate_faces(detector_a, folder, first)
    b = evaluate_faces(detector_b, folder, second)
    return AllFacesComparison(folder, a, b, *pair_up(folder, a.photos, b.photos))
