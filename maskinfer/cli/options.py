"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.runtime.providers import Provider

Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Model file (.onnx). By default the newest under models/, else the one that ships.",
    ),
]
ProviderChoice = Annotated[
    Provider,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="auto, tensorrt, cuda or cpu. auto is CUDA where it works, else the CPU; "
        "tensorrt builds an engine when a model is first used, which takes minutes.",
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", metavar="N", min=1, help="Images per batch.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Threads that decode images. By default one for each usable core.",
    ),
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", metavar="N", min=1, help="Larger images are not decoded.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
ReportOut = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="The report's folder. By default a new one under reports/."
    ),
]


def given_options(context: typer.Context) -> dict[str, str]:
    """The options and arguments given on the command line: as users write each, by name."""
    return {
        parameter.name: parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name
        for parameter in context.command.params
        if parameter.name is not None
        and getattr(context.get_parameter_source(parameter.name), "name", "") == "COMMANDLINE"
    }
