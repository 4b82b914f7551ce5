"""Strictly reading records: values out of JSON or TOML as a dataclass, each of its field's type."""

import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Record = TypeVar("Record")

# What is beyond was not written by a program of ours, and no NaN or infinity is within.
_LARGEST_FLOAT, _LARGEST_INT = 1e300, 2**53
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def read_record(kind: type[Record], values: object, prefix: str = "") -> Record:
    """Make a record of values that anybody may have written, by the names of its fields.

    It is a dataclass, whose fields are numbers, texts, literals, lists, tuples and dictionaries of
    those, other dataclasses, or anything; values of those with a default may be missing. Else a
    `ValueError` of one line names, after a prefix, the value that is missing, of another type, or
    of no field.
    """
    if not isinstance(values, Mapping):
        name = prefix.removesuffix(".") or kind.__name__
        raise ValueError(f"{name}: got {reprlib.repr(values)}, expected names and values")
    hints = get_type_hints(kind)
    given = {}
    for name, value in values.items():
        if name not in hints:
            raise ValueError(f"{prefix}{name}: unknown, expected one of {', '.join(hints)}")
        given[name] = read_value(hints[name], value, f"{prefix}{name}")
    for field in fields(cast(Any, kind)):
        if field.name not in given and field.default is field.default_factory is MISSING:
            raise ValueError(f"{prefix}{field.name}: missing")
    return kind(**given)


def read_value(hint: Any, value: object, name: str) -> Any:
    """One value of a record, called `name` in messages; a `ValueError` if not of its type hint."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        return read_record(hint, value, f"{name}.")
    if origin in (Union, UnionType):
        if value is None and type(None) in inner:
            return None
        (hint,) = (one for one in inner if one is not type(None))
        return read_value(hint, value, name)
    if origin is dict and isinstance(value, Mapping):
        return {key: read_value(inner[1], item, f"{name}.{key}") for key, item in value.items()}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return origin(read_value(inner[0], item, name) for item in value)
    if origin is Literal and value in inner:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if hint is float and abs(value) < _LARGEST_FLOAT:
            return float(value)
        if hint is int and type(value) is int and abs(value) < _LARGEST_INT:
            return value
    elif type(value) is hint:
        return value
    expected = f"one of {', '.join(map(str, inner))}" if origin is Literal else _word(hint)
    raise ValueError(f"{name}: got {reprlib.repr(value)}, expected {expected}")


def _word(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (list, tuple):
        return f"a list of {_word(inner[0]).removeprefix('a ')}s"
    return "names and values" if origin is dict else _WORDS[str if origin is Literal else hint]
