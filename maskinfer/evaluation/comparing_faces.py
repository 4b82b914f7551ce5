"""Two models against every annotated face: which one's verdicts about photos are better."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskinfer.inference.detector import MaskDetector
from maskinfer.threads import Progress

from .all_faces import evaluate_faces
from .comparing import Comparison, Pair
from .evaluating import Measured
from .face_metrics import measure_faces
from .photo_faces import PhotoFaces
from .significance import Interval, bootstrap_interval


@dataclass(frozen=True)
class AllFacesComparison(Comparison[PhotoFaces]):
    """Two models' predictions of every face; an image is right where the verdict about it is."""

    measure = staticmethod(measure_faces)

    @staticmethod
    def evaluate(
        detector: MaskDetector, folder: Path, on_progress: Progress
    ) -> tuple[Measured, Sequence[PhotoFaces]]:
        evaluation = evaluate_faces(detector, folder, on_progress)
        return evaluation, evaluation.photos

    def intervals(self) -> dict[str, Interval | None]:
        return {
            "photos, accuracy": self.accuracy_interval(),
            "photos, balanced accuracy": bootstrap_interval(self._balanced_differences()),
        }

    def apart(self, pair: Pair[PhotoFaces]) -> float:
        """The difference in the number of faces that are called as labelled."""
        return abs(pair.b.right - pair.a.right)

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
