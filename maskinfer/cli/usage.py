"""What is wrong with a command line, in a line and in our words, whatever Typer's version says."""

import re
from difflib import get_close_matches
from typing import Any

# Of pydantic's faults, by which Typer converts values.
_EXPECTED = {
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}


def usage_words(error: Any) -> str:
    """Say what a command line lacks or has wrongly, by a usage error of click's or Typer's."""
    words = error.format_message().rstrip(".")
    if (parameter := getattr(error, "param", None)) is not None:
        names = [name for name in parameter.opts if name.startswith("-")]
        name = names[0] if names else parameter.metavar or parameter.name
        words = f"{name}: {_value_words(error)}" if error.message else f"{name}: missing"
    elif words[:1].isupper():
        words = words[:1].lower() + words[1:]
    return f"{words}; see {error.ctx.command_path} --help" if error.ctx is not None else words


def _value_words(error: Any) -> str:
    """What is wrong with the value of an option."""
    said = str(error.message).removeprefix("Value error, ").rstrip(".")
    if hasattr(error.__cause__, "errors"):  # pydantic's
        fault = error.__cause__.errors()[0]
        if fault["type"] in _EXPECTED:
            expected = _EXPECTED[fault["type"]].format(**fault.get("ctx", {}))
            return f"got {fault['input']!r}, expected {expected}"
    if match := re.fullmatch(r"""('.*?'|".*?") is not one of (.*)""", said):
        choices = re.findall(r"'(.*?)'", match[2])
        near = get_close_matches(match[1][1:-1], choices, 1)
        guess = f"; did you mean {near[0]}?" if near else ""
        return f"got {match[1]}, expected one of {', '.join(choices)}{guess}"
    return said
