"""Recipes: TOML files that fill what the user left open, to be copied and changed.

A section is of a network, a key a field of `TrainSettings`; `geometry` (`letterbox` or
`center_crop`), `canvas` (224) and, for `center_crop`, `resize` together are its geometry. `"none"`
is no `patience` and no `clip_norm`. What a section leaves out is `TrainSettings`' default.
"""

import tomllib
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from maskinfer.errors import UsageError
from maskinfer.geometry import Geometry

from .settings import Model, TrainSettings

_SHIPPED = files(__package__) / "recipes"
_GEOMETRY = {"geometry": "letterbox", "canvas": 224, "resize": None}
_DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for field in fields(TrainSettings)
    # Where and by how many processes it is decoded belongs to a machine, not to a recipe.
    if field.name not in ("model", "data", "recipe", "geometry", "workers")
}
_MAY_BE_NONE = ("patience", "clip_norm")


def recipe_names() -> list[str]:
    """The recipes that ship."""
    names = (Path(file.name) for file in _SHIPPED.iterdir())
    return sorted(name.stem for name in names if name.suffix == ".toml")


def recipe_settings(
    model: Model, recipe: str, data: tuple[str, ...], canvas: int | None = None
) -> TrainSettings:
    """The settings of a recipe.

    Args:
        model: which network.
        recipe: the name of one that ships, or the path of a .toml file.
        data: the data sets' folders.
        canvas: side of the canvas in pixels, in place of the recipe's.

    Raises:
        UsageError: there is no such recipe, it has no section for the network, or what it says
            cannot be.
    """
    section = _section(recipe, model)
    shape = {**_GEOMETRY, **{key: section.pop(key) for key in _GEOMETRY if key in section}}
    values = {key: _value(recipe, key, value) for key, value in section.items()}
    try:
        geometry = Geometry(shape["geometry"], shape["canvas"], shape["resize"] or shape["canvas"])
        if canvas is not None:
            resize = round(geometry.resize * canvas / geometry.canvas)
            geometry = replace(geometry, canvas=canvas, resize=resize)
        settings = TrainSettings(model, data, Path(recipe).stem, geometry, **values)
        return TrainSettings.from_dict(settings.to_dict())  # which looks at each choice
    except ValueError as error:
        raise UsageError(f"--recipe {recipe}: {error}") from error


def _section(recipe: str, model: Model) -> dict[str, Any]:
    path = _SHIPPED / f"{recipe}.toml" if recipe in recipe_names() else Path(recipe)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"--recipe: got {recipe!r}, expected {', '.join(recipe_names())} or a .toml file"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"--recipe {recipe}: cannot be read ({error})") from error
    section = content.get(model)
    if not isinstance(section, dict):
        raise UsageError(f"--recipe {recipe}: it has no section [{model}]")
    return section


def _value(recipe: str, key: str, value: Any) -> Any:
    """A setting as `TrainSettings` holds it."""
    if key not in _DEFAULTS:
        raise UsageError(
            f"--recipe {recipe}: unknown key {key!r}, expected one of "
            f"{', '.join([*_GEOMETRY, *_DEFAULTS])}"
        )
    if value == "none" and key in _MAY_BE_NONE:
        return None
    if isinstance(value, list):
        value = tuple(value)
    default = _DEFAULTS[key]
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise UsageError(
            f"--recipe {recipe}: {key} is {value!r}, expected a {type(default).__name__}"
        )
    return value
