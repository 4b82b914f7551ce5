"""How commands declare their options, and the options that several of them share."""

import copy
import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from rich.markup import escape

Command = Callable[..., None]


def option(help: str = "", metavar: str | None = None, name: str = "", **more: Any) -> Any:
    """An option, called `--field-name` unless it has names of its own, with spaces between."""
    more |= _completed(metavar)
    return typer.Option(*name.split(), help=escape(help), metavar=metavar, **more)


def argument(help: str, metavar: str, **more: Any) -> Any:
    """An argument, by its place."""
    more |= _completed(metavar)
    return typer.Argument(help=escape(help), metavar=metavar, **more)


def _completed(metavar: str | None) -> dict[str, Any]:
    """Shells complete the words of `shipped|RUN|FILE`, and files where none of them fits."""
    words = [word for word in (metavar or "").split("|") if word.islower()]

    def fitting(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return {"autocompletion": fitting} if "|" in (metavar or "") and words else {}


def panel(title: str, **declared: Any) -> dict[str, Any]:
    """Options that stand together in the help, under a title."""
    together = {name: copy.copy(how) for name, how in declared.items()}
    for how in together.values():
        how.rich_help_panel = title
    return together


def takes(kind: Any, *, partly: bool = False, **declared: Any) -> Callable[[Command], Command]:
    """Let users of a command give the fields of a dataclass, its first parameter, one by one.

    Types and defaults are the fields' own, so that each is written once. A field that is a tuple
    is an option that may be given several times.

    Args:
        kind: a dataclass.
        partly: whether the command is handed a dictionary of what was given, not a whole `kind`.
        declared: an `option` or `argument` for each field, in the order of the help; for another
            parameter of the command likewise, where it does not declare itself.
    """
    defaults = {field.name: None if partly else field.default for field in fields(kind)}
    hints = get_type_hints(kind)

    def decorate(command: Command) -> Command:
        parameters = dict(list(inspect.signature(command).parameters.items())[1:])
        own = frozenset(parameters)
        for name, how in declared.items():
            if name in own:
                parameter = parameters.pop(name)  # to its place in the order
                hint, default = parameter.annotation, parameter.default
            else:
                hint, default = hints[name], defaults[name]
                if get_origin(hint) is tuple:
                    hint, default = list[get_args(hint)[0]], None  # type: ignore[misc]
                hint = hint | None if default is None else hint
                default = inspect.Parameter.empty if default is MISSING else default
            parameters[name] = inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[hint, how],
            )

        @functools.wraps(command)
        def run(**given: Any) -> None:
            others = {name: given.pop(name) for name in own}
            values = {
                name: tuple(value) if get_origin(hints[name]) is tuple else value
                for name, value in given.items()
                if value is not None
            }
            command(values if partly else kind(**values), **others)

        run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        run.__annotations__ = {name: one.annotation for name, one in parameters.items()}
        return run

    return decorate


MODEL = option(
    "Model file (.onnx). By default the newest under models/, else the one that ships.", "FILE"
)
PROVIDER = option(
    "auto, tensorrt, cuda, openvino or cpu. auto is CUDA where it works, else OpenVINO where it is "
    "installed and faster, else the CPU; tensorrt builds an engine when a model is first used, "
    "which takes minutes.",
    "NAME",
)
PROVIDER_OPTIONS = option(
    "An option of the provider's own, as onnxruntime or OpenVINO name it; may be given several "
    "times.",
    "NAME=VALUE",
    "--provider-option",
)
LABELLED = (
    "A data set, or a folder of labelled images. By default sample_images/. Where it has a folder "
    "test/, that one is used."
)
BATCH_SIZE = option("Images per batch.", "N", min=1)
_MEASURED = "measured when the model was exported"
FACES = {
    "face": option(
        "Which face of several: main, the best-scored unless one further left scores nearly as "
        "well; left, largest, best; or all, every face.",
        "WHICH",
    ),
    "min_score": option(
        "Least score of a face, 0 to 1.", "S", min=0, max=1, show_default=_MEASURED
    ),
    "threshold": option(
        "Least probability that counts as a properly worn mask, 0 to 1.",
        "P",
        min=0,
        max=1,
        show_default=_MEASURED,
    ),
    "canvas": option(
        "Side in pixels of what the network sees of a photo, a multiple of 32; a larger one finds "
        "smaller faces and takes longer. Only of models that read any, as lite does.",
        "S",
        show_default="the model's own",
    ),
}
JSON = option("Write the figures to this file; - for standard output.", "FILE")
OVERWRITE = option("Replace an existing output.", name="--overwrite")
REPORT_OUT = option(
    "The report's folder. By default a new one under reports/.", "DIR", "--report --out"
)


def given_options(context: typer.Context) -> dict[str, str]:
    """The options and arguments given on the command line: as users write each, by name."""
    return {
        parameter.name: parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name
        for parameter in context.command.params
        if parameter.name is not None
        and getattr(context.get_parameter_source(parameter.name), "name", "") == "COMMANDLINE"
    }
