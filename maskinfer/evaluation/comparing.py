"""Two models on the same images: where they differ, and whether that is more than chance."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskinfer.errors import DatasetError
from maskinfer.inference.choosing import FaceRule
from maskinfer.inference.detector import MaskDetector
from maskinfer.runtime.providers import DEFAULT_BATCH_SIZE, Provider
from maskinfer.text import printable_name
from maskinfer.version import __version__

from .evaluating import Evaluation, evaluate_folder, measure_all, model_facts
from .labelled import LabelledPrediction
from .metrics import Metrics
from .significance import (
    RESAMPLES,
    SEED,
    Interval,
    accuracy_interval,
    bootstrap_interval,
    mcnemar_p,
)

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class CompareSettings:
    """The options of `maskinfer compare`.

    Attributes:
        model_a: one model file.
        model_b: the other.
        data: a data set, or a folder of labelled images; None for the sample images.
        provider: what computes.
        batch_size: images per batch.
        face: which face of several is measured; `all` measures every annotated one.
        min_score: least score of a face, of both; None for each model's own.
        threshold: least probability that counts as a properly worn mask, of both; None likewise.
        canvas: side in pixels of what both networks see of a photo; None likewise.
        out: the report's folder; None for `reports/compare-TIME`.
        overwrite: whether an existing report may be replaced.
    """

    model_a: Path
    model_b: Path
    data: Path | None = None
    provider: Provider = Provider.AUTO
    batch_size: int = DEFAULT_BATCH_SIZE
    face: FaceRule = "main"
    min_score: float | None = None
    threshold: float | None = None
    canvas: int | None = None
    out: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Pair:
    """Two models' predictions for one image."""

    a: LabelledPrediction
    b: LabelledPrediction

    @property
    def iou_difference(self) -> float:
        """B's minus A's."""
        return self.b.iou - self.a.iou

    @property
    def probability_difference(self) -> float:
        """B's minus A's; the greatest there is where one of them predicts no face."""
        if self.a.probability is None or self.b.probability is None:
            return float((self.b.probability is None) != (self.a.probability is None))
        return self.b.probability - self.a.probability


@dataclass(frozen=True)
class Figure:
    """A figure of both models.

    Attributes:
        name: as people read it.
        a: A's; None where there is none.
        b: B's, likewise.
        interval: the 95 % interval of the difference; None where none is computed.
    """

    name: str
    a: float | None
    b: float | None
    interval: Interval | None

    @property
    def difference(self) -> float | None:
        """B's minus A's."""
        return None if self.a is None or self.b is None else self.b - self.a

    def interval_words(self) -> str:
        """The interval as people write it; empty where there is none."""
        return "{:+.3f} to {:+.3f}".format(*self.interval) if self.interval else ""


@dataclass(frozen=True)
class Comparison:
    """Two models on the images that both measured. Differences are B's figure minus A's.

    Attributes:
        folder: where the images are.
        a: the evaluation of one model, images that the other could not measure included.
        b: that of the other, likewise.
        pairs: the images that both measured, at least one, in sorted order of their names.
        only_a: names of the images that only A measured, printable; left out of all figures.
        only_b: that only B measured.
    """

    folder: Path
    a: Evaluation
    b: Evaluation
    pairs: list[Pair]
    only_a: list[str]
    only_b: list[str]

    @cached_property
    def metrics_a(self) -> Metrics:
        """A's figures over the pairs."""
        return measure_all([pair.a for pair in self.pairs])

    @cached_property
    def metrics_b(self) -> Metrics:
        """B's figures over the pairs."""
        return measure_all([pair.b for pair in self.pairs])

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures over the pairs, of both models."""
        a, b = self.metrics_a.figures(), self.metrics_b.figures()
        intervals = {
            "mean IoU": bootstrap_interval([pair.iou_difference for pair in self.pairs]),
            "accuracy": accuracy_interval(len(self.a_right), len(self.b_right), len(self.pairs)),
        }
        return [Figure(name, a[name], b[name], intervals.get(name)) for name in a]

    @cached_property
    def a_right(self) -> list[Pair]:
        """Images that only A calls correctly, the furthest apart in probability first."""
        return self._apart(a=True, b=False)

    @cached_property
    def b_right(self) -> list[Pair]:
        """Images that only B calls correctly, the furthest apart in probability first."""
        return self._apart(a=False, b=True)

    @property
    def both_right(self) -> int:
        """Images that both call correctly."""
        return sum(pair.a.correct and pair.b.correct for pair in self.pairs)

    @property
    def both_wrong(self) -> int:
        """Images that neither calls correctly."""
        return len(self.pairs) - self.both_right - len(self.a_right) - len(self.b_right)

    @cached_property
    def p(self) -> float:
        """The p-value of McNemar's exact test on accuracy."""
        return mcnemar_p(len(self.a_right), len(self.b_right))

    @property
    def failed(self) -> int:
        """Labelled images that at least one model did not measure."""
        names = {failure.filename for failure in (*self.a.failures, *self.b.failures)}
        return len(names | {d.filename for d in self.a.decisions if d.action == "dropped"})

    def box_differences(self) -> list[Pair]:
        """Images on which the IoUs differ, the greatest difference first."""
        apart = [pair for pair in self.pairs if pair.iou_difference]
        return sorted(apart, key=lambda pair: -abs(pair.iou_difference))

    def verdict(self) -> str:
        """Whether one model is right more often, in a sentence."""
        a, b = len(self.a_right), len(self.b_right)
        images = f"these {len(self.pairs)} images" if len(self.pairs) > 1 else "this image"
        if not a + b:
            return (
                f"No difference in accuracy on {images}: neither is right where the other is not."
            )
        if self.p >= _SIGNIFICANT:
            return f"No difference in accuracy can be told from {images} ({p_words(self.p)})."
        better, more, less = ("A", a, b) if a > b else ("B", b, a)
        return f"{better} is right more often: {more} images against {less}, {p_words(self.p)}."

    def to_dict(self, detector_a: MaskDetector, detector_b: MaskDetector) -> dict[str, Any]:
        """All of it and the models, fit for JSON."""
        sides = (
            ("a", self.a, self.metrics_a, detector_a, self.only_a),
            ("b", self.b, self.metrics_b, detector_b, self.only_b),
        )
        return {
            "data": printable_name(str(self.folder)),
            "verdict": self.verdict(),
            **{
                name: {
                    **model_facts(detector),
                    "seconds": round(evaluation.seconds, 3),
                    "metrics": metrics.to_dict(),
                    "failures": [asdict(failure) for failure in evaluation.failures],
                    "measured_alone": alone,
                }
                for name, evaluation, metrics, detector, alone in sides
            },
            "calls": {
                "both_right": self.both_right,
                "only_a_right": len(self.a_right),
                "only_b_right": len(self.b_right),
                "both_wrong": self.both_wrong,
                "mcnemar_p": self.p,
            },
            "differences": {
                figure.name.replace(" ", "_").lower(): {
                    "b_less_a": figure.difference,
                    "interval": figure.interval and figure.interval._asdict(),
                }
                for figure in self.figures
            },
            "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
            "decisions": [asdict(decision) for decision in self.a.decisions],
            "unlabelled": self.a.unlabelled,
            "images": [_pair_facts(pair) for pair in self.pairs],
            "maskinfer_version": __version__,
        }

    def _apart(self, *, a: bool, b: bool) -> list[Pair]:
        pairs = [pair for pair in self.pairs if (pair.a.correct, pair.b.correct) == (a, b)]
        return sorted(pairs, key=lambda pair: -abs(pair.probability_difference))


def compare_models(
    detector_a: MaskDetector,
    detector_b: MaskDetector,
    folder: Path,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Comparison:
    """Measure two models on every labelled image of a folder, one after the other.

    Args:
        detector_a: one model.
        detector_b: the other, or the same.
        folder: of labelled images.
        on_progress: called with the number of images done so far, and of all; each counts twice.

    Raises:
        DatasetError: not one labelled image can be measured by both.
        MaskinferError: a model fails.
    """
    a = evaluate_folder(detector_a, folder, lambda done, total: on_progress(done, 2 * total))
    b = evaluate_folder(
        detector_b, folder, lambda done, total: on_progress(total + done, 2 * total)
    )
    by_a = {prediction.filename: prediction for prediction in a.predictions}
    by_b = {prediction.filename: prediction for prediction in b.predictions}
    pairs = [Pair(by_a[name], by_b[name]) for name in by_a if name in by_b]
    if not pairs:
        raise DatasetError(
            f"{folder}: no image that both models could measure, expected at least one; "
            f"A measured {len(by_a)}, B {len(by_b)}"
        )
    return Comparison(
        folder,
        a,
        b,
        pairs,
        [printable_name(name) for name in by_a if name not in by_b],
        [printable_name(name) for name in by_b if name not in by_a],
    )


def p_words(p: float) -> str:
    """A p-value as people write it."""
    return "p < 0.001" if p < 0.001 else "p = 1" if p == 1 else f"p = {p:.3f}"


def _pair_facts(pair: Pair) -> dict[str, Any]:
    def facts(prediction: LabelledPrediction) -> dict[str, Any]:
        face = prediction.face
        return {
            "box_xywh": list(face.box_xywh) if face else None,
            "proper_mask": prediction.proper_mask,
            "probability": prediction.probability,
            "score": face.score if face else None,
            "iou": prediction.iou,
            "correct": prediction.correct,
        }

    return {
        "filename": printable_name(pair.a.filename),
        "label_box_xywh": list(pair.a.label_xywh),
        "label_proper_mask": pair.a.label_proper,
        "a": facts(pair.a),
        "b": facts(pair.b),
    }
