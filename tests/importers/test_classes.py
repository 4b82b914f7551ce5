"""Labels without boxes, through every command that reads them."""

import json
from pathlib import Path

import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo

from maskinfer.errors import DatasetError
from maskinfer.train.data.parts import read_parts


@pytest.fixture
def data(tmp_path: Path, run_cli: RunCli) -> Path:
    """An import of four photos, of which the model gets one wrong."""
    for split, folder, proper in (
        ("train", "with_mask", True),
        ("test", "with_mask", True),
        ("train", "without_mask", False),
        ("test", "without_mask", True),
    ):
        place = tmp_path / "src" / split / folder
        place.mkdir(parents=True)
        draw_photo(proper=proper, blue=100 + 9 * len(place.parts[-2] + folder)).save(
            place / "a.png"
        )
    done = run_cli("import", "classes", tmp_path / "src", "--out", tmp_path / "data")
    assert done.code == 0, done.stderr
    return tmp_path / "data"


def test_evaluate_measures_the_masks_alone(
    data: Path, tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    out, model = tmp_path / "figures.json", ("--model", tiny_model, "--provider", "cpu")
    done = run_cli("evaluate", data, *model, "--json", out, "--report", tmp_path / "page")
    assert done.code == 0, done.stderr
    metrics = json.loads(out.read_text())["metrics"]
    assert (metrics["accuracy"], metrics["mean_iou"], metrics["ap50"]) == (0.5, None, None)
    done = run_cli("evaluate", data, *model, "--face", "all")
    assert done.code == 1
    assert "has labels without boxes; evaluate one face, --face main" in done.stderr


def test_training_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match="is labelled without a box"):
        read_parts([str(data)], 0.0, 0)


def test_photos_go_to_annotation_tools_without_a_face(
    data: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    done = run_cli("export-labels", data, tmp_path / "coco", "--to", "coco")
    assert done.code == 0, done.stderr
    written = [json.loads(path.read_text()) for path in (tmp_path / "coco").rglob("*.json")]
    assert sum(len(file["images"]) for file in written) == 4
    assert not any(file["annotations"] for file in written)
