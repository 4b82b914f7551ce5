"""Recipes: TOML files that fill the options not given, to be copied and changed.

A section is of a network, a key a field of `TrainSettings`; `geometry` (`letterbox` or
`center_crop`), `canvas` (224) and, for `center_crop`, `resize` together are its geometry. `"none"`
is no `patience` and no `clip_norm`. What a section leaves out is as in `default.toml`, and what
that leaves out as in `TrainSettings`.
"""

import json
import tomllib
from collections.abc import Collection
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args, get_type_hints

from maskinfer.data.geometry import CANVAS_RULE, Geometry
from maskinfer.errors import UsageError
from maskinfer.records import read_value

from .settings import Model, TrainSettings

_SHIPPED = files(__package__) / "recipes"
_DEFAULT = "default"
_GEOMETRY = {"geometry": "letterbox", "canvas": 224, "resize": None}
# Where the data lies, how many processes decode it and what is told of it depend on the machine.
_HINTS = {
    name: hint
    for name, hint in get_type_hints(TrainSettings).items()
    if name not in ("model", "data", "recipe", "geometry", "workers", "log")
}
_MAY_BE_NONE = ("patience", "clip_norm")


def recipe_names() -> list[str]:
    """The recipes to choose from; the one of `maskinfer audit` is not."""
    names = (Path(file.name) for file in _SHIPPED.iterdir())
    return sorted(n.stem for n in names if n.suffix == ".toml" and n.stem != "audit")


def as_recipe(settings: TrainSettings, recipe: str, given: Collection[str]) -> str:
    """Settings as a recipe, each with where it is from: the options `given`, or a recipe."""
    model, shape = settings.model, vars(settings.geometry)
    values = {"geometry": shape["kind"], "canvas": shape["canvas"]}
    values |= {"resize": shape["resize"]} if shape["kind"] == "center_crop" else {}
    origins = dict.fromkeys(_section(_DEFAULT, model), f"recipe {_DEFAULT}")
    origins |= dict.fromkeys(_section(recipe, model), f"recipe {recipe}")
    origins |= dict.fromkeys(given, "given")
    lines = [f"[{model}]"]
    for name, value in (values | {name: getattr(settings, name) for name in _HINTS}).items():
        text = f"{name} = {json.dumps('none' if value is None else value)}"
        lines.append(f"{text:<50} # {origins.get(name, 'built in')}")
    return "\n".join(lines)


def recipe_settings(
    model: Model, recipe: str, data: tuple[str, ...], canvas: int | None = None
) -> TrainSettings:
    """The settings of a recipe: the name of one that ships, or the path of a .toml file.

    `canvas` is its side in pixels, in place of the recipe's. A `UsageError` where there is no such
    recipe, it has no section for the network, or a value of it is not allowed.
    """
    if canvas is not None and canvas < 1:
        raise UsageError(f"--canvas: got {canvas}, expected {CANVAS_RULE}")
    name = recipe if _shipped(recipe).is_file() else Path(recipe).name
    try:
        section = _section(_DEFAULT, model) | _section(recipe, model)
        shape = {key: section.pop(key, usual) for key, usual in _GEOMETRY.items()}
        values = {key: _value(key, value) for key, value in section.items()}
        return TrainSettings(model, data, name, _geometry(shape, canvas), **values)
    except ValueError as error:
        raise UsageError(f"--recipe {recipe}: {error}") from error


def _geometry(shape: dict[str, Any], canvas: int | None) -> Geometry:
    kind, own, resize = shape["geometry"], shape["canvas"], shape["resize"]
    if kind != "center_crop":
        if resize is not None:
            raise ValueError(f"resize: got {resize!r}, expected none but for a center_crop")
        resize = own
    geometry = Geometry(kind, own, resize)
    if canvas is None:
        return geometry
    return Geometry(kind, canvas, round(geometry.resize * canvas / geometry.canvas))


def _shipped(recipe: str) -> Traversable:
    return _SHIPPED / f"{recipe}.toml"


def _section(recipe: str, model: Model) -> dict[str, Any]:
    path = shipped if (shipped := _shipped(recipe)).is_file() else Path(recipe)
    expected = f"expected {', '.join(recipe_names())} or a .toml file"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"--recipe: got {recipe!r}, {expected}") from error
    except OSError as error:
        raise UsageError(f"--recipe {recipe}: {error.strerror}; {expected}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--recipe {recipe}: not TOML ({error}); {expected}") from error
    sections = get_args(Model)
    for name, section in content.items():
        if name not in sections or not isinstance(section, dict):
            raise ValueError(
                f"got {name!r} outside of a section, expected sections [{'], ['.join(sections)}]"
            )
    if model not in content:
        raise ValueError(
            f"got no section [{model}], only [{'], ['.join(content)}]; "
            "take another recipe or --network"
        )
    return dict(content[model])


def read_list(key: str, text: str) -> list[Any]:
    """Values of a setting, with commas between; another is a `UsageError`."""
    words: list[Any] = [word.strip() for word in text.split(",")]
    try:
        return [_value(key, int(word) if _HINTS[key] is int else word) for word in words]
    except ValueError as error:
        option = f"--{key.replace('_', '-')}"
        raise UsageError(f"{option}: got {text!r}, expected values with commas between") from error


def _value(key: str, value: Any) -> Any:
    """A setting as `TrainSettings` holds it."""
    if key not in _HINTS:
        expected = ", ".join([*_GEOMETRY, *_HINTS])
        raise ValueError(f"unknown key {key!r}, expected one of {expected}")
    if value == "none" and key in _MAY_BE_NONE:
        return None
    return read_value(_HINTS[key], value, key)
