"""Two models on the same images: where they differ, and whether that is more than chance."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

from maskinfer.errors import DatasetError
from maskinfer.inference.choosing import DetectorSettings
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import printable_name
from maskinfer.threads import Progress, unheard
from maskinfer.version import __version__

from .all_faces import evaluate_faces
from .evaluating import AnswerT, Measured, evaluate_folder, model_facts
from .labelled import LabelledPrediction
from .photo_faces import PhotoFaces
from .significance import BOOTSTRAP, Interval, accuracy_interval, bootstrap_interval, mcnemar_p

SIGNIFICANT = 0.05
# Whether A and B call an image correctly, by the words for it.
_CALLS = {
    "both right": (True, True),
    "only A right": (True, False),
    "only B right": (False, True),
    "both wrong": (False, False),
}


@dataclass(frozen=True)
class CompareSettings(DetectorSettings):
    """The options of `maskinfer compare`; what is asked about faces holds for both models."""

    model_a: Path  # one model file
    model_b: Path  # the other
    data: Path | None = None  # a data set or a folder of labelled images; None: the sample images
    out: Path | None = None  # the report's folder; None for `reports/compare-TIME`
    overwrite: bool = False  # whether an existing report may be replaced


@dataclass(frozen=True)
class Pair(Generic[AnswerT]):
    """Two models' answers about one image."""

    a: AnswerT
    b: AnswerT


@dataclass(frozen=True)
class Figure:
    """A figure of both models, if they have it, and the 95 % interval of the difference."""

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
class Comparison(ABC, Generic[AnswerT]):
    """Two models on the images that both measured. Differences are B's figure minus A's."""

    a: Measured[AnswerT, Any]  # what one model was measured on
    b: Measured[AnswerT, Any]  # and the other
    pairs: list[Pair[AnswerT]]  # images that both measured, at least one, in sorted order of names
    only_a: list[str]  # printable names of those that only A measured; left out of all figures
    only_b: list[str]  # that only B measured

    # Measures a model, asked for what is compared.
    evaluate: "ClassVar[staticmethod[[MaskDetector, Path, Progress], Measured[Any, Any]]]"

    @classmethod
    def of(
        cls,
        detector_a: MaskDetector,
        detector_b: MaskDetector,
        folder: Path,
        on_progress: Progress = unheard,
    ) -> Self:
        """Measure two models on every labelled image of a folder, one after the other.

        Each image counts twice as progress. A `DatasetError` where not one labelled image can be
        measured by both, or a list is damaged; a `MaskinferError` where a model fails.
        """
        a = cls.evaluate(detector_a, folder, lambda done, total: on_progress(done, 2 * total))
        b = cls.evaluate(
            detector_b, folder, lambda done, total: on_progress(total + done, 2 * total)
        )
        by_a, by_b = ({answer.filename: answer for answer in one.answers} for one in (a, b))
        pairs = [Pair(by_a[name], by_b[name]) for name in by_a if name in by_b]
        if not pairs:
            raise DatasetError(
                f"{folder}: no image that both models could measure, expected at least one; "
                f"A measured {len(by_a)}, B {len(by_b)}"
            )
        only_a = [printable_name(name) for name in by_a if name not in by_b]
        only_b = [printable_name(name) for name in by_b if name not in by_a]
        return cls(a, b, pairs, only_a, only_b)

    @abstractmethod
    def intervals(self) -> dict[str, Interval | None]:
        """Of the differences of some figures, by their names."""

    @abstractmethod
    def apart(self, pair: Pair[AnswerT]) -> float:
        """How far apart two answers are, one of which is wrong."""

    @abstractmethod
    def pair_facts(self, pair: Pair[AnswerT]) -> dict[str, Any]:
        """Both answers about an image, fit for JSON."""

    @cached_property
    def metrics(self) -> tuple[Any, Any]:
        """The figures of A and of B over the pairs."""
        answers = ([pair.a for pair in self.pairs], [pair.b for pair in self.pairs])
        return self.a.measure(answers[0]), self.b.measure(answers[1])

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures over the pairs, of both models."""
        (a, b), intervals = (metrics.figures() for metrics in self.metrics), self.intervals()
        return [Figure(name, a[name], b[name], intervals.get(name)) for name in a]

    @cached_property
    def by_call(self) -> dict[str, list[Pair[AnswerT]]]:
        """Images by which model is right, as people read it, the furthest apart first."""
        pairs = sorted(self.pairs, key=self.apart, reverse=True)
        return {
            word: [pair for pair in pairs if (pair.a.correct, pair.b.correct) == right]
            for word, right in _CALLS.items()
        }

    def calls(self) -> dict[str, int]:
        """How many images those are."""
        return {word: len(pairs) for word, pairs in self.by_call.items()}

    @cached_property
    def p(self) -> float:
        """The p-value of McNemar's exact test on accuracy."""
        _, only_a, only_b, _ = self.calls().values()
        return mcnemar_p(only_a, only_b)

    def p_words(self) -> str:
        """It as people write it."""
        return "p < 0.001" if self.p < 0.001 else "p = 1" if self.p == 1 else f"p = {self.p:.3f}"

    @property
    def failed(self) -> int:
        """Labelled images that at least one model did not measure."""
        names = {failure.filename for failure in (*self.a.failures, *self.b.failures)}
        return len(names | {d.filename for d in self.a.decisions if d.action == "dropped"})

    def accuracy_interval(self) -> Interval:
        """Of the difference in accuracy."""
        return accuracy_interval(*self.calls().values())

    def verdict(self) -> str:
        """Whether one model is right more often, in a sentence."""
        _, a, b, _ = self.calls().values()
        images = f"these {len(self.pairs)} images" if len(self.pairs) > 1 else "this image"
        if not a + b:
            return (
                f"No difference in accuracy on {images}: neither is right where the other is not."
            )
        if self.p >= SIGNIFICANT:
            return f"No difference in accuracy can be told from {images} ({self.p_words()})."
        better, more, less = ("A", a, b) if a > b else ("B", b, a)
        return f"{better} is right more often: {more} images against {less}, {self.p_words()}."

    def to_dict(self) -> dict[str, Any]:
        """All of it and the models, fit for JSON."""
        both = zip((self.a, self.b), self.metrics, (self.only_a, self.only_b), strict=True)
        return {
            "data": printable_name(str(self.a.folder)),
            "verdict": self.verdict(),
            **{
                name: {
                    **model_facts(measured.detector),
                    "seconds": round(measured.seconds, 3),
                    "metrics": metrics.to_dict(),
                    "failures": [asdict(failure) for failure in measured.failures],
                    "measured_alone": alone,
                }
                for name, (measured, metrics, alone) in zip("ab", both, strict=True)
            },
            "calls": {_key(name): images for name, images in self.calls().items()}
            | {"mcnemar_p": self.p},
            "differences": {
                _key(figure.name): {
                    "b_less_a": figure.difference,
                    "interval": figure.interval and figure.interval._asdict(),
                }
                for figure in self.figures
            },
            "bootstrap": BOOTSTRAP,
            "decisions": [asdict(decision) for decision in self.a.decisions],
            "unlabelled": self.a.unlabelled,
            "images": [self.pair_facts(pair) for pair in self.pairs],
            "maskinfer_version": __version__,
        }


@dataclass(frozen=True)
class OneFaceComparison(Comparison[LabelledPrediction]):
    """Two models' predictions of the labelled face."""

    evaluate = staticmethod(evaluate_folder)

    def intervals(self) -> dict[str, Interval | None]:
        return {
            "mean IoU": bootstrap_interval([iou_difference(pair) for pair in self.pairs]),
            "accuracy": self.accuracy_interval(),
        }

    def apart(self, pair: Pair[LabelledPrediction]) -> float:
        """The difference in probability; the greatest there is where one predicts no face."""
        a, b = pair.a.probability, pair.b.probability
        return 1.0 if a is None or b is None else abs(b - a)

    def box_differences(self) -> list[Pair[LabelledPrediction]]:
        """Images on which the IoUs differ, the greatest difference first."""
        apart = [pair for pair in self.pairs if iou_difference(pair)]
        return sorted(apart, key=lambda pair: -abs(iou_difference(pair)))

    def pair_facts(self, pair: Pair[LabelledPrediction]) -> dict[str, Any]:
        """The label and both predictions, fit for JSON."""
        return {
            "filename": printable_name(pair.a.filename),
            "label_box_xywh": list(pair.a.label_xywh),
            "label_proper_mask": pair.a.label_proper,
            "a": _prediction_facts(pair.a),
            "b": _prediction_facts(pair.b),
        }


@dataclass(frozen=True)
class AllFacesComparison(Comparison[PhotoFaces]):
    """Two models' predictions of every face; an image is right where the verdict about it is."""

    evaluate = staticmethod(evaluate_faces)

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
        """Of each photo, whose mean is that in balanced accuracy: the rarer label weighs more."""
        counts = Counter(pair.a.all_proper for pair in self.pairs)
        weights = {label: len(self.pairs) / (len(counts) * n) for label, n in counts.items()}
        return [(p.b.correct - p.a.correct) * weights[p.a.all_proper] for p in self.pairs]


def iou_difference(pair: Pair[LabelledPrediction]) -> float:
    """B's minus A's."""
    return pair.b.iou - pair.a.iou


def _key(words: str) -> str:
    return words.replace(",", "").replace(" ", "_").lower()


def _prediction_facts(prediction: LabelledPrediction) -> dict[str, Any]:
    face = prediction.face
    return {
        "box_xywh": list(face.box_xywh) if face else None,
        "proper_mask": prediction.proper_mask,
        "probability": prediction.probability,
        "score": face.score if face else None,
        "iou": prediction.iou,
        "correct": prediction.correct,
    }
