"""The command line: one module a command, each parsing, calling one function, and printing."""

import os
import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from maskinfer import __version__
from maskinfer.data.images import settle_pillow
from maskinfer.errors import MaskinferError, UsageError

from .console import say
from .detector import INTERRUPTED
from .help import COMMANDS
from .options import option

# Packages that only an extra installs.
_TRAIN_ONLY = (
    *("torch", "torchvision", "accelerate", "safetensors"),
    *("matplotlib", "onnx", "onnxscript", "optuna"),
)
_NO_THREAD = "can't start new thread"  # what Python says where memory or a limit ends
# Click's own, or Typer's copy of it.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]


class _PlainFlags:
    """Whose flags are shown without the type of a value."""

    def get_params(self, ctx: Any) -> Any:
        parameters = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return parameters


class _Command(_PlainFlags, TyperCommand):
    """A command."""


class _Commands(_PlainFlags, TyperGroup):
    """All commands; Ctrl-C ends each with one line and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            # Commands that keep what they have done say so in the exception.
            say(f"stopped: {stop}" if str(stop) else "stopped")
            raise typer.Exit(INTERRUPTED) from None


# Commands that lie in the module of others, or whose functions have other names.
_ELSEWHERE = {
    "import": ("datasets", "import_"),
    "export-labels": ("datasets", "export_labels"),
    "synth": ("datasets", "synth"),
    "verify": ("export", "verify"),
    "tune": ("train", "tune"),
}


def make_app(*names: str) -> typer.Typer:
    """The command line with these commands, or with all if none is named."""
    app = typer.Typer(
        name="maskinfer",
        cls=_Commands,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    # Only what is named is imported: all commands together take as long to import as everything
    # else that `maskinfer predict` does before its first image.
    for name in names or COMMANDS:
        group, *examples = COMMANDS[name]
        foot = "\n".join(["Examples:", *(f"  maskinfer {example}" for example in examples)])
        module, function = _ELSEWHERE.get(name, (name, name))
        command = getattr(import_module(f".{module}", __package__), function)
        app.command(name, cls=_Command, epilog=foot, rich_help_panel=group)(command)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maskinfer {__version__}")
        raise typer.Exit


def _root(
    debug: Annotated[bool, option("Show the traceback of an error.", "", "--debug")] = False,
    version: Annotated[
        bool,
        option("Print the version.", "", "--version -V", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Find the faces in photos and say whether each mask is worn properly."""


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
        if not sys.argv[1:]:
            sys.argv.append("--help")
        named = next((text for text in sys.argv[1:] if not text.startswith("-")), "")
        app = make_app(*([named] if named in COMMANDS else []))
        sys.exit(app(prog_name="maskinfer", standalone_mode=False))
    except _WrongUsage as error:
        from .usage import usage_words

        say(f"error: {usage_words(error)}")
        sys.exit(2)
    except KeyboardInterrupt:  # while commands are still imported
        say("stopped")
        sys.exit(INTERRUPTED)
    except (MaskinferError, OSError, MemoryError, ImportError, RuntimeError) as error:
        is_bug = isinstance(error, ModuleNotFoundError) and error.name not in _TRAIN_ONLY
        is_bug |= isinstance(error, RuntimeError) and str(error) != _NO_THREAD
        if debug or is_bug:
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
        case MemoryError() | RuntimeError():
            return f"not enough memory; try a smaller --batch-size or --canvas ({error})"
        case ModuleNotFoundError(name="optuna"):
            return "optuna is not installed. Run, in the project's folder: pip install '.[tune]'"
        case ModuleNotFoundError():
            return (
                f"{error.name} is not installed; training and exporting need maskinfer's 'train' "
                "extra. Run, in the project's folder: pip install '.[train]'"
            )
        case ImportError():  # such as a library that finds no memory to be loaded into
            return f"a library cannot be loaded, {error}"
    return str(error)
