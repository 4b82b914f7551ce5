import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from support.cli import RunCli

from maskinfer.data.geometry import Geometry
from maskinfer.errors import UsageError
from maskinfer.train.recipes import as_recipe, recipe_names, recipe_settings
from maskinfer.train.settings import Model, check

DATA = ("data",)


@pytest.mark.parametrize("model", get_args(Model))
@pytest.mark.parametrize("recipe", ["default", "two-cores"])
def test_shipped_recipe_fills_every_network(model: Model, recipe: str) -> None:
    settings = recipe_settings(model, recipe, DATA)
    check(settings)
    assert (settings.model, settings.data, settings.recipe) == (model, DATA, recipe)


def test_report_recipe_holds_the_reports_numbers() -> None:
    assert recipe_names() == [
        *("default", "finetune", "multi-scale", "one-gpu", "report", "two-cores"),
    ]
    resnet = recipe_settings("resnet", "report", DATA)
    assert resnet.geometry == Geometry("center_crop", 224, 256)
    assert (resnet.batch_size, resnet.optimizer, resnet.learning_rate) == (32, "adam", 0.02)
    assert (resnet.patience, resnet.clip_norm) == (None, None)
    faster = recipe_settings("fasterrcnn", "report", DATA)
    assert (faster.learning_rate, faster.clip_norm) == (0.001, 2.0)
    with pytest.raises(UsageError, match=r"got no section \[lite\], only \[resnet\], \[fasterrcnn"):
        recipe_settings("lite", "report", DATA)


def test_canvas_takes_the_resize_along() -> None:
    assert recipe_settings("resnet", "report", DATA, 448).geometry == Geometry(
        "center_crop", 448, 512
    )
    assert recipe_settings("resnet", "default", DATA, 96).geometry == Geometry.letterbox(96)


def test_own_recipe_is_a_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(
        '[resnet]\nbackbone = "resnet18"\ncanvas = 96\nlearning_rate = 1\naugment = ["crop"]\n'
        'patience = "none"\n'
    )
    settings = recipe_settings("resnet", str(own), DATA)
    assert settings.recipe == "mine.toml"
    assert settings.geometry == Geometry.letterbox(96)
    assert (settings.backbone, settings.learning_rate) == ("resnet18", 1.0)
    assert (settings.augment, settings.patience) == (("crop",), None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[lite]", r"got no section \[resnet\], only \[lite\]", id="other-network"),
        pytest.param("epochs = 3\n[resnet]", "got 'epochs' outside of a section", id="top-level"),
        pytest.param("resnet = 3", "got 'resnet' outside of a section", id="no-section"),
        pytest.param("[resnet", "not TOML", id="not-toml"),
        pytest.param("x = " + "[" * 5000, "not TOML", id="deep"),
        pytest.param("[resnet]\nepoch = 3", "unknown key 'epoch', expected one of", id="key"),
        pytest.param('[resnet]\nepochs = "x"', "got 'x', expected a whole number", id="type"),
        pytest.param("[resnet]\nbalance = 1", "balance: got 1, expected true or false", id="bool"),
        pytest.param("[resnet]\nlearning_rate = 1" + "0" * 400, "expected a number", id="huge"),
        pytest.param('[resnet]\noptimizer = "lion"', "'lion', expected one of adam", id="choice"),
        pytest.param('[resnet]\naugment = "flip"', "expected a list of texts", id="augment"),
        pytest.param("[resnet]\naugment = [1]", "expected one of flip", id="augment-number"),
        pytest.param('[resnet]\naugment = [["flip"]]', "expected one of flip", id="augment-nested"),
        pytest.param('[resnet]\ngeometry = "fish-eye"', "'fish-eye'", id="geometry"),
        pytest.param("[resnet]\nresize = 256", "none but for a center_crop", id="resize"),
        pytest.param("[resnet]\ncanvas = 1.5", "1.5", id="canvas"),
        pytest.param('[resnet]\nepochs = "none"', "got 'none'", id="none"),
    ],
)
def test_recipe_that_cannot_be_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        recipe_settings("resnet", str(own), DATA)


def test_own_section_needs_only_what_it_changes(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text("[lite]\nepochs = 3\n[fasterrcnn]\n")
    lite = recipe_settings("lite", str(own), DATA)
    check(lite)
    assert (lite.epochs, lite.backbone, lite.augment) == (
        3,
        "efficientnet_lite0",
        ("zoom", "flip", "color"),
    )
    assert recipe_settings("fasterrcnn", str(own), DATA).learning_rate == 3e-4


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("clip_norm = -1", "clip_norm: got -1.0"),
        ("box_weight = nan", "box_weight: got nan"),
        ("box_samples = 0", "box_samples: got 0"),
    ],
)
def test_numbers_that_only_a_recipe_can_give_are_checked(
    tmp_path: Path, line: str, complaint: str
) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(f"[fasterrcnn]\n{line}\n")
    with pytest.raises(UsageError, match=complaint):
        check(recipe_settings("fasterrcnn", str(own), DATA))


def test_recipe_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory; expected default, finetune, multi"):
        recipe_settings("resnet", str(tmp_path), DATA)


def test_missing_recipe_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="got 'fast', expected default, finetune, multi"):
        recipe_settings("resnet", "fast", DATA)


def test_a_configuration_says_where_each_value_is_from_and_is_a_recipe(
    tmp_path: Path, run_cli: RunCli
) -> None:
    options = ["--network", "lite", "--recipe", "two-cores", "--lr", "0.5", "--canvas", "96"]
    shown = run_cli("train", "--show-config", *options).stdout
    lines = dict(line.split(" = ", 1) for line in shown.splitlines()[1:])
    assert shown.startswith("[lite]\n")
    assert re.fullmatch(r"0\.5 +# given", lines["learning_rate"])
    assert re.fullmatch(r"96 +# given", lines["canvas"])
    assert re.fullmatch(r"24 +# recipe two-cores", lines["epochs"])
    assert re.fullmatch(r"32 +# built in", lines["batch_size"])
    file = tmp_path / "mine.toml"
    file.write_text(shown)
    asked = replace(recipe_settings("lite", "two-cores", DATA, 96), learning_rate=0.5)
    assert recipe_settings("lite", str(file), DATA) == replace(asked, recipe="mine.toml")
    again = run_cli("train", "--show-config", "--network", "lite", "--recipe", file).stdout
    assert f"# recipe {file}" in again


@pytest.mark.parametrize("model", get_args(Model))
@pytest.mark.parametrize("recipe", ["default", "two-cores"])
def test_every_configuration_is_a_recipe(tmp_path: Path, model: Model, recipe: str) -> None:
    settings = recipe_settings(model, recipe, DATA)
    (tmp_path / "a.toml").write_text(as_recipe(settings, recipe, ()))
    again = recipe_settings(model, str(tmp_path / "a.toml"), DATA)
    assert again == replace(settings, recipe="a.toml")
