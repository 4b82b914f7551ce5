"""The command line: one module a command, each parsing, calling one function, and printing."""

import os
import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from maskinfer import __version__
from maskinfer.data.images import settle_pillow
from maskinfer.errors import MaskinferError, UsageError

from .console import say
from .detector import INTERRUPTED
from .options import option

# Packages that only an extra installs.
_TRAIN_ONLY = (
    "torch",
    "torchvision",
    "accelerate",
    "safetensors",
    "matplotlib",
    "onnx",
    "onnxscript",
)


class _Commands(TyperGroup):
    """All commands; Ctrl-C ends each with one line and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            # Commands that keep what they have done say so in the exception.
            say(f"stopped: {stop}" if str(stop) else "stopped")
            raise typer.Exit(INTERRUPTED) from None


_COMMANDS = (
    *("predict", "evaluate", "compare", "explore", "audit", "train", "report"),
    *("export", "verify", "info", "doctor", "bench", "import", "export-labels", "synth"),
)
# Commands whose functions have other names, or lie in the module of another command.
_ELSEWHERE = {
    "import": ("importing", "import_"),
    "export-labels": ("importing", "export_labels"),
}


def make_app(*names: str) -> typer.Typer:
    """The command line with these commands, or with all if none is named."""
    app = typer.Typer(
        name="maskinfer",
        cls=_Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    # Only what is named is imported: all commands together take as long to import as everything
    # else that `maskinfer predict` does before its first image.
    for name in names or _COMMANDS:
        module, function = _ELSEWHERE.get(name, (name, name))
        app.command(name)(getattr(import_module(f".{module}", __package__), function))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maskinfer {__version__}")
        raise typer.Exit


def _root(
    debug: Annotated[bool, option("Show the traceback of an error.", name="--debug")] = False,
    version: Annotated[
        bool,
        option("Print the version.", name="--version", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Find the one face in a photo and say whether its mask is worn properly."""


def _take_debug() -> bool:
    """Take `--debug` out of the arguments, wherever a user put it."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = [argument for argument in sys.argv[:end] if argument != "--debug"]
    debug = len(options) < end
    sys.argv = options + sys.argv[end:]
    return debug


def main() -> None:
    """Run the command line; turn errors that users can fix into one line and an exit code."""
    debug = _take_debug()
    settle_pillow()
    try:
        # An empty argument or value would as a path be the current folder.
        if any(re.fullmatch(r"(--[\w-]+=)?", argument) for argument in sys.argv[1:]):
            raise UsageError("an empty argument, expected a value; is a shell variable unset?")
        named = next((text for text in sys.argv[1:] if not text.startswith("-")), "")
        make_app(*([named] if named in _COMMANDS else []))()
    except KeyboardInterrupt:  # while commands are still imported
        say("stopped")
        sys.exit(INTERRUPTED)
    except (MaskinferError, OSError, MemoryError, ImportError) as error:
        if debug or (isinstance(error, ModuleNotFoundError) and error.name not in _TRAIN_ONLY):
            raise
        say(f"error: {_explain(error)}")
        sys.exit(error.exit_code if isinstance(error, MaskinferError) else 1)


def _explain(error: Exception) -> str:
    """What is wrong, in a line, and the remedy where there is one."""
    match error:
        case OSError(filename=str() | bytes() as file):
            return f"{os.fsdecode(file)}: {error.strerror or error}"
        case OSError():
            return str(error.strerror or error)
        case MemoryError():
            return f"not enough memory; try a smaller --batch-size or --canvas ({error})"
        case ModuleNotFoundError():
            return (
                f"{error.name} is not installed; training and exporting need maskinfer's 'train' "
                "extra. Run, in the project's folder: pip install '.[train]'"
            )
        case ImportError():  # such as a library that finds no memory to be loaded into
            return f"a library cannot be loaded, {error}"
    return str(error)
