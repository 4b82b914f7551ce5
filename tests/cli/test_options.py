from dataclasses import dataclass
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from maskinfer.cli.options import argument, option, takes


@dataclass(frozen=True)
class Settings:
    place: str
    sizes: tuple[int, ...] = (1, 2)
    loud: bool = False
    share: float | None = None


def call(*arguments: str, partly: bool = False) -> tuple[Any, str]:
    """What a command is handed: its settings, and a parameter of its own."""
    calls: list[tuple[Any, str]] = []

    @takes(
        Settings,
        partly=partly,
        place=argument("Where.", "PLACE"),
        word=option("Which."),
        sizes=option("How large.", name="--size"),
        loud=option("How.", name="--loud"),
        share=option("How much.", min=0),
    )
    def command(settings: Any, word: str = "none") -> None:
        calls.append((settings, word))

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return calls[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["here"], (Settings("here"), "none"), id="defaults"),
        pytest.param(["here", "--word", "one"], (Settings("here"), "one"), id="own"),
        pytest.param(
            ["here", "--size", "3", "--size", "4", "--loud", "--share", "0.5"],
            (Settings("here", (3, 4), True, 0.5), "none"),
            id="all",
        ),
    ],
)
def test_takes_makes_settings(arguments: list[str], expected: tuple[Settings, str]) -> None:
    assert call(*arguments) == expected


def test_takes_partly_hands_over_what_was_given() -> None:
    assert call("here", "--size", "3", partly=True) == ({"place": "here", "sizes": (3,)}, "none")
