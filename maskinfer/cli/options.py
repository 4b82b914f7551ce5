"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.inference.choosing import FaceRule
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
Face = Annotated[
    FaceRule,
    typer.Option(
        "--face",
        metavar="WHICH",
        help="Which face of several: main, the best-scored unless one further left scores nearly "
        "as well; left, largest, best; or all, every face.",
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        metavar="S",
        min=0,
        max=1,
        help="Least score of a face, 0 to 1.",
        show_default="measured when the model was exported",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        min=0,
        max=1,
        help="Least probability that counts as a properly worn mask, 0 to 1.",
        show_default="measured when the model was exported",
    ),
]
Canvas = Annotated[
    int | None,
    typer.Option(
        "--canvas",
        metavar="S",
        help="Side in pixels of what the network sees of a photo, a multiple of 32; a larger one "
        "finds smaller faces and takes longer. Only of models that read any, as lite does.",
        show_default="the model's own",
    ),
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
