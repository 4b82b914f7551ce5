"""The command line: one module a command, each parsing, calling one function, and printing."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from maskinfer import __version__
from maskinfer.errors import MaskinferError

from . import evaluate, export, importing, predict, synth, train
from .console import say

# Extras by the packages that only they install.
_TRAIN_ONLY = (
    "torch",
    "torchvision",
    "accelerate",
    "safetensors",
    "matplotlib",
    "onnx",
    "onnxscript",
)

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _Commands(TyperGroup):
    """All commands; Ctrl-C ends each of them with one line and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            # A command that keeps what it has done says so in the exception.
            say(f"stopped: {stop}" if str(stop) else "stopped")
            raise typer.Exit(_INTERRUPTED) from None


app = typer.Typer(
    name="maskinfer",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("import")(importing.import_)
app.command("synth")(synth.synth)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maskinfer {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Find the one face in a photo and say whether its mask is worn properly."""


def main() -> None:
    """Run the command line; turn what a user can mend into one line and an exit code."""
    try:
        app()
    except MaskinferError as error:
        if "--debug" in sys.argv:
            raise
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if "--debug" in sys.argv or error.name not in _TRAIN_ONLY:
            raise
        say(
            f"error: {error.name} is not installed; training and exporting need maskinfer's "
            "'train' extra. Run, in the project's folder: pip install '.[train]'"
        )
        sys.exit(1)
