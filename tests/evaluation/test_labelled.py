from pathlib import Path

import pytest
from support.predictions import labelled
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import Failure
from maskinfer.evaluation.labelled import LabelledPrediction, predict_samples

BOX = (16, 8, 24, 32)


@pytest.mark.parametrize(
    ("label_proper", "probability", "threshold", "proper_mask", "correct"),
    [
        pytest.param(True, 0.5, 0.5, True, True, id="at-the-threshold"),
        pytest.param(True, 0.49, 0.5, False, False, id="below"),
        pytest.param(False, 0.6, 0.7, False, True, id="of-a-strict-model"),
        pytest.param(False, 0.8, 0.7, True, False, id="wrong"),
    ],
)
def test_a_call_follows_the_threshold(
    label_proper: bool, probability: float, threshold: float, proper_mask: bool, correct: bool
) -> None:
    prediction = labelled("a", BOX, label_proper, BOX, probability, 0.9, threshold)
    assert (prediction.proper_mask, prediction.correct) == (proper_mask, correct)
    assert prediction.iou == 1.0


@pytest.mark.parametrize("label_proper", [True, False])
def test_no_face_is_a_miss(label_proper: bool) -> None:
    prediction = LabelledPrediction("a", BOX, label_proper, None)
    assert (prediction.iou, prediction.correct) == (0.0, False)
    assert prediction.proper_mask is prediction.probability is prediction.self_confidence is None


def test_samples_are_predicted_in_order_and_failures_kept_apart(
    tmp_path: Path, tiny_model: Path
) -> None:
    (tmp_path / "train").mkdir()
    draw_photo().save(tmp_path / "train" / "1__[16, 8, 24, 32]__True.png")
    broken = tmp_path / "train" / "2__[0, 0, 9, 9]__True.jpg"
    draw_photo((640, 640)).save(broken)
    broken.write_bytes(broken.read_bytes()[:1500])  # its header is whole
    draw_photo(proper=False).save(tmp_path / "train" / "3__[-4, 8, 44, 16]__True.png")
    samples = Dataset.open(tmp_path).samples("test").samples
    progress: list[tuple[int, int]] = []
    detector = MaskDetector(tiny_model, "cpu", batch_size=2)
    predictions, failures = predict_samples(
        detector, tmp_path, samples, lambda done, total: progress.append((done, total))
    )
    first, last = predictions
    assert first.filename == "train/1__[16, 8, 24, 32]__True.png"
    assert first.face is not None
    assert (first.label_xywh, first.face.box_xywh) == (BOX, BOX)
    assert (first.iou, first.correct) == (1.0, True)
    assert last.label_xywh == (0, 8, 40, 16)  # repaired
    assert (last.label_proper, last.proper_mask, last.correct) == (True, False, False)
    assert last.threshold == detector.choice.threshold
    (failure,) = failures
    assert isinstance(failure, Failure)
    assert failure.filename == "train/2__[0, 0, 9, 9]__True.jpg"
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_face_that_scores_too_little_is_none(tmp_path: Path, tiny_model: Path) -> None:
    draw_photo(blue=120).save(tmp_path / "1__[16, 8, 24, 32]__True.png")
    draw_photo(blue=220).save(tmp_path / "2__[16, 8, 24, 32]__True.png")
    samples = Dataset.open(tmp_path).samples("test").samples
    detector = MaskDetector(tiny_model, "cpu", min_score=0.6, threshold=0.9)
    (missed, seen), failures = predict_samples(detector, tmp_path, samples)
    assert failures == []
    assert missed.face is None
    assert seen.face is not None
    assert seen.threshold == 0.9
