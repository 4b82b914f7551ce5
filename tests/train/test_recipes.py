from pathlib import Path
from typing import get_args

import pytest

from maskinfer.errors import UsageError
from maskinfer.geometry import Geometry
from maskinfer.train.recipes import recipe_names, recipe_settings
from maskinfer.train.settings import Model, check

DATA = ("data",)


@pytest.mark.parametrize("model", get_args(Model))
@pytest.mark.parametrize("recipe", ["default", "two-cores"])
def test_shipped_recipe_fills_every_network(model: Model, recipe: str):
    settings = recipe_settings(model, recipe, DATA)
    check(settings)
    assert (settings.model, settings.data, settings.recipe) == (model, DATA, recipe)


def test_report_recipe_holds_the_reports_numbers():
    assert recipe_names() == ["default", "report", "two-cores"]
    resnet = recipe_settings("resnet", "report", DATA)
    assert resnet.geometry == Geometry.center_crop(224, 256)
    assert (resnet.batch_size, resnet.optimizer, resnet.learning_rate) == (32, "adam", 0.02)
    assert (resnet.patience, resnet.clip_norm) == (None, None)
    faster = recipe_settings("fasterrcnn", "report", DATA)
    assert (faster.learning_rate, faster.clip_norm) == (0.001, 2.0)
    with pytest.raises(UsageError, match=r"--recipe report: it has no section \[lite\]"):
        recipe_settings("lite", "report", DATA)


def test_canvas_takes_the_resize_along():
    assert recipe_settings("resnet", "report", DATA, 448).geometry == Geometry.center_crop(448, 512)
    assert recipe_settings("resnet", "default", DATA, 96).geometry == Geometry.letterbox(96)


def test_own_recipe_is_a_file(tmp_path: Path):
    own = tmp_path / "mine.toml"
    own.write_text(
        '[resnet]\nbackbone = "resnet18"\ncanvas = 96\nlearning_rate = 1\naugment = ["crop"]\n'
        'patience = "none"\n'
    )
    settings = recipe_settings("resnet", str(own), DATA)
    assert settings.recipe == "mine"
    assert settings.geometry == Geometry.letterbox(96)
    assert (settings.backbone, settings.learning_rate) == ("resnet18", 1.0)
    assert (settings.augment, settings.patience) == (("crop",), None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[lite]", r"it has no section \[resnet\]", id="other-network"),
        pytest.param("resnet = 3", "it has no section", id="no-section"),
        pytest.param("[resnet", "cannot be read", id="not-toml"),
        pytest.param("[resnet]\nepoch = 3", "unknown key 'epoch', expected one of", id="key"),
        pytest.param('[resnet]\nepochs = "many"', "epochs is 'many', expected a int", id="type"),
        pytest.param("[resnet]\nbalance = 1", "balance is 1, expected a bool", id="bool"),
        pytest.param('[resnet]\noptimizer = "lion"', "optimizer is 'lion'", id="choice"),
        pytest.param('[resnet]\ngeometry = "fish-eye"', "'fish-eye'", id="geometry"),
        pytest.param("[resnet]\ncanvas = 1.5", "1.5", id="canvas"),
        pytest.param('[resnet]\nepochs = "none"', "epochs is 'none'", id="none"),
    ],
)
def test_recipe_that_cannot_be_is_refused(tmp_path: Path, text: str, complaint: str):
    own = tmp_path / "mine.toml"
    own.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        recipe_settings("resnet", str(own), DATA)


def test_missing_recipe_names_those_there_are():
    with pytest.raises(UsageError, match="got 'fast', expected default, report, two-cores or a"):
        recipe_settings("resnet", "fast", DATA)
