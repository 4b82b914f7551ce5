"""Which of several faces an exported file answers with."""

from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cli import RunCli

from maskinfer.errors import UsageError
from maskinfer.export import exporting as job
from maskinfer.export.graph import calibrated
from maskinfer.export.settings import FACE_SCORE, ExportSettings, FaceRule, GraphOptions
from maskinfer.export.suppression import choose, choose_one_by_one
from maskinfer.runtime.model_file import METADATA_KEY, ModelMetadata
from maskinfer.train.networks.network import Candidates, Detections
from maskinfer.train.runs.folder import RunFolder


def _candidates(*rows: tuple[float, float, float, float, float, float]) -> Candidates:
    """One image; a row is x1, y1, x2, y2, probability, score."""
    table = torch.tensor(rows)[None]
    return Candidates(table[..., :4], table[..., 4], table[..., 5])


CROWD = _candidates(
    (50.0, 0.0, 60.0, 10.0, 0.9, 0.8),
    (51.0, 0.0, 61.0, 10.0, 0.1, 0.7),  # the same face once more
    (20.0, 0.0, 60.0, 40.0, 0.2, 0.5),
    (10.0, 0.0, 20.0, 10.0, 0.3, 0.45),
    (0.0, 0.0, 90.0, 90.0, 0.4, 0.1),  # too little to be a face
)


def _choose(candidates: Candidates, face: FaceRule, least: float = 0.4) -> Detections:
    return choose(candidates, GraphOptions(face, face_score=least, lean=1.0), 100)


@pytest.mark.parametrize(("face", "box"), [("left", [10, 0, 10, 10]), ("largest", [20, 0, 40, 40])])
def test_choice_is_made_among_those_that_score_enough(face: FaceRule, box: list[float]) -> None:
    assert _choose(CROWD, face).boxes_xywh.tolist() == [box]


@pytest.mark.parametrize(
    ("score", "x"),
    [pytest.param(0.51, 20.0, id="nearly-as-sure"), pytest.param(0.49, 50.0, id="less-sure")],
)
def test_main_face_is_further_left_only_where_it_scores_nearly_as_well(
    score: float, x: float
) -> None:
    pair = _candidates((50.0, 0, 60, 10, 0.9, 0.8), (20.0, 0, 30, 10, 0.9, score))
    assert _choose(pair, "main").boxes_xywh[0, 0].item() == x


def test_choice_is_the_best_where_none_scores_enough() -> None:
    for face in ("main", "left", "largest"):
        assert _choose(CROWD, face, 0.9).boxes_xywh.tolist() == [[50, 0, 10, 10]]


def test_of_boxes_that_overlap_the_best_scored_counts() -> None:
    shifted = _candidates((50.0, 0.0, 60.0, 10.0, 0.9, 0.8), (49.0, 0.0, 59.0, 10.0, 0.1, 0.7))
    detections = _choose(shifted, "left")
    assert detections.boxes_xywh.tolist() == [[50, 0, 10, 10]]
    assert detections.proper_mask.item() == pytest.approx(0.9)


@given(st.integers(0, 2**32), st.integers(1, 90), st.sampled_from(["main", "left", "largest"]))
def test_choice_equals_one_made_one_by_one(seed: int, count: int, face: FaceRule) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, count, 2, generator=generator) * 80
    size = torch.rand(2, count, 2, generator=generator) * 40 + 1
    proper, score = torch.rand(2, 2, count, generator=generator)
    every = Candidates(torch.cat([corner, corner + size], dim=2), proper, score)
    least = 1 - 20 / max(20, count)  # no more than the graph looks at are eligible
    options = GraphOptions(face, face_score=least)
    together = choose(every, options, 100)
    images = [Candidates(*image) for image in zip(*every, strict=True)]
    for ours, theirs in zip(together, choose_one_by_one(images, options, 100), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_temperature_keeps_the_order_and_a_half() -> None:
    probability = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0])
    detections = Detections(torch.zeros(5, 4), probability, torch.ones(5))
    cooler = calibrated(detections, 2.0).proper_mask
    assert (cooler.diff() > 0).all()
    assert cooler[2].item() == pytest.approx(0.5)
    assert cooler[3].item() == pytest.approx(2 / 3)  # log-odds of 4, halved, are those of 2
    assert calibrated(detections, 1.0) is detections


@pytest.mark.parametrize("model", ["fasterrcnn", "lite"])
@pytest.mark.parametrize("face", ["main", "left", "largest"])
def test_file_answers_with_the_face_asked_for(
    runs: dict[str, RunFolder], tmp_path: Path, model: str, face: FaceRule, run_cli: RunCli
) -> None:
    """The export compares it with torchvision's suppression and a loop, and refuses to differ."""
    out = tmp_path / "file.onnx"
    proposals = 400 if model == "fasterrcnn" else None
    done = job.export(runs[model], ExportSettings(out, face=face, proposals=proposals), print)
    assert done.parity.comparisons[-1].mean_iou > 0.99
    metadata = _metadata(out)
    assert metadata.export["face"] == face
    assert metadata.export["face_score"] == FACE_SCORE
    assert GraphOptions.recall(metadata.export).face == face
    assert ("lean" in metadata.export) == (face == "main")
    verified = run_cli("verify", out, "--against", runs[model].path)
    assert verified.code == 0, verified.stderr


def test_file_takes_another_canvas_than_the_run(
    runs: dict[str, RunFolder], tmp_path: Path, run_cli: RunCli, drawn: Path
) -> None:
    out = tmp_path / "wide.onnx"
    job.export(runs["lite"], ExportSettings(out, canvas=96), print)
    assert _metadata(out).geometry.canvas == 96
    assert run_cli("verify", out, "--against", runs["lite"].path).code == 0
    assert run_cli("evaluate", drawn, "--model", out).code == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param(ExportSettings(face="left"), "--face left: a resnet sees one", id="face"),
        pytest.param(ExportSettings(canvas=96), "--canvas 96: a resnet reads", id="canvas"),
    ],
)
def test_network_of_one_face_refuses(
    runs: dict[str, RunFolder], settings: ExportSettings, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        job.export(runs["resnet"], settings, print)


def _metadata(file: Path) -> ModelMetadata:
    properties = {p.key: p.value for p in onnx.load(file).metadata_props}
    return ModelMetadata.from_json(properties[METADATA_KEY], str(file))
