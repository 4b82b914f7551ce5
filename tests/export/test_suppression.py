"""The distinct faces that an exported file answers with."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cli import RunCli

from maskinfer.errors import UsageError
from maskinfer.export import exporting as job
from maskinfer.export.matching import match
from maskinfer.export.settings import ExportSettings, GraphOptions
from maskinfer.export.suppression import (
    Faces,
    calibrated,
    distinct_faces,
    faces_one_by_one,
    one_face,
)
from maskinfer.runtime.model_file import METADATA_KEY, ModelMetadata
from maskinfer.runtime.session import Session
from maskinfer.train.networks.network import Candidates, Detections
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder

pytestmark = pytest.mark.slow


def _candidates(*rows: tuple[float, float, float, float, float, float]) -> Candidates:
    """One image; a row is x1, y1, x2, y2, probability, score."""
    table = torch.tensor(rows).reshape(1, -1, 6)
    return Candidates(table[..., :4], table[..., 4], table[..., 5])


CROWD = _candidates(
    (20.0, 0.0, 60.0, 40.0, 0.2, 0.5),
    (50.0, 0.0, 60.0, 10.0, 0.9, 0.8),
    (51.0, 0.0, 61.0, 10.0, 0.1, 0.7),  # the same face once more
    (10.0, 0.0, 20.0, 10.0, 0.3, 0.45),
)


@pytest.mark.parametrize(
    ("candidates", "faces", "expected"),
    [
        pytest.param(_candidates(), 2, [[0, 0, 0, 0, 0, 0]] * 2, id="none"),
        pytest.param(
            _candidates((0.0, 0, 10, 10, 0.7, 0.0)), 1, [[0, 0, 0, 0, 0, 0]], id="score-0"
        ),
        pytest.param(CROWD, 1, [[50, 0, 10, 10, 0.9, 0.8]], id="one"),
        pytest.param(
            CROWD,
            4,
            [
                [50, 0, 10, 10, 0.9, 0.8],
                [20, 0, 40, 40, 0.2, 0.5],
                [10, 0, 10, 10, 0.3, 0.45],
                [0, 0, 0, 0, 0, 0],
            ],
            id="fewer-than-places",
        ),
    ],
)
def test_faces_are_distinct_and_best_first(
    candidates: Candidates, faces: int, expected: list[list[float]]
) -> None:
    options = GraphOptions(faces)
    answers = [distinct_faces(candidates, options, rivals=3 + faces)]
    answers.append(faces_one_by_one([Candidates(*(c[0] for c in candidates))], options))
    for answer in answers:
        np.testing.assert_allclose(_table(answer)[0], expected, atol=1e-6)


def _table(faces: Faces) -> np.ndarray:
    """(N, K, 6)."""
    columns = (faces.boxes_xywh, faces.proper_mask[..., None], faces.score[..., None])
    return torch.cat(columns, dim=2).numpy()


@given(st.integers(0, 2**32), st.integers(1, 90), st.integers(1, 30))
def test_faces_equal_those_found_one_by_one(seed: int, count: int, faces: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, count, 2, generator=generator) * 80
    size = torch.rand(2, count, 2, generator=generator) * 40 + 1
    proper, score = torch.rand(2, 2, count, generator=generator)
    every = Candidates(torch.cat([corner, corner + size], dim=2), proper, score)
    options = GraphOptions(faces, temperature=1.5)
    together = distinct_faces(every, options, rivals=90)
    images = [Candidates(*image) for image in zip(*every, strict=True)]
    for ours, theirs in zip(together, faces_one_by_one(images, options), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_temperature_keeps_the_order_and_a_half() -> None:
    probability = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0])
    cooler = calibrated(probability, 2.0)
    assert (cooler.diff() > 0).all()
    assert cooler[2].item() == pytest.approx(0.5)
    assert cooler[3].item() == pytest.approx(2 / 3)  # log-odds of 4, halved, are those of 2
    assert calibrated(probability, 1.0) is probability


def test_network_of_one_face_fills_one_place() -> None:
    detections = Detections(torch.ones(3, 4), torch.full((3,), 0.8), torch.ones(3))
    faces = one_face(detections, GraphOptions(1, temperature=2.0))
    assert _table(faces).shape == (3, 1, 6)
    assert faces.proper_mask[0, 0].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("model", ["fasterrcnn", "lite"])
def test_file_finds_as_many_faces_as_asked_for(
    runs: dict[str, RunFolder], files: dict[str, Path], model: str, run_cli: RunCli
) -> None:
    """The export compares it with torchvision's suppression and a loop, and refuses to differ."""
    metadata = _metadata(files[model])
    assert metadata.faces == 5
    assert GraphOptions.recall(metadata).faces == 5
    assert metadata.verification["comparisons"][-1]["mean_iou"] > 0.99
    verified = run_cli("verify", files[model], "--against", runs[model].path)
    assert verified.code == 0, verified.stderr


def test_lite_file_reads_canvases_of_any_size(
    runs: dict[str, RunFolder], files: dict[str, Path]
) -> None:
    network = Checkpoint.load(runs["lite"].path).network
    rng = np.random.default_rng(0)
    for side in (64, 96, 160):
        canvases = rng.integers(0, 256, (3, side, side, 3), dtype=np.uint8)
        with torch.no_grad():
            detections = network.detect(torch.from_numpy(canvases))
        outputs = Session(files["lite"], "cpu", canvas=side).run(canvases)
        np.testing.assert_allclose(outputs.boxes_xywh[:, 0], detections.boxes_xywh, atol=0.05)
        np.testing.assert_allclose(outputs.score[:, 0], detections.score, atol=1e-4)
        assert match(outputs, outputs).unmatched == 0


@pytest.mark.usefixtures("traced_once")
def test_canvas_of_an_export_is_the_default_one(
    runs: dict[str, RunFolder],
    asked: dict[str, dict[str, int]],
    tmp_path: Path,
    run_cli: RunCli,
    drawn: Path,
) -> None:
    out = tmp_path / "wide.onnx"
    job.export(runs["lite"].path, ExportSettings(out, canvas=96, **asked["lite"]), print)
    assert _metadata(out).geometry.canvas == 96
    assert run_cli("verify", out, "--against", runs["lite"].path).code == 0
    assert run_cli("evaluate", drawn, "--model", out).code == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param(ExportSettings(faces=2), "--faces 2: a resnet sees one", id="faces"),
        pytest.param(ExportSettings(faces=0), "--faces: got 0, expected 1 to", id="no-faces"),
        pytest.param(ExportSettings(canvas=96), "--canvas 96: a resnet reads", id="canvas"),
    ],
)
def test_network_of_one_face_refuses(
    runs: dict[str, RunFolder], settings: ExportSettings, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        job.export(runs["resnet"].path, settings, print)


def _metadata(file: Path) -> ModelMetadata:
    properties = {p.key: p.value for p in onnx.load(file).metadata_props}
    return ModelMetadata.from_json(properties[METADATA_KEY], str(file))
