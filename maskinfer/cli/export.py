"""`maskinfer export`."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.export.settings import (
    DEFAULT_FACES,
    DEFAULT_PROPOSALS,
    BatchRange,
    ExportSettings,
    Format,
    Precision,
    Target,
)

_DEFAULTS = ExportSettings()
_BATCH = BatchRange()


def export(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|FILE|shipped",
            help="A run folder, a file of weights, or the weights that ship.",
            show_default="the newest run",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The model file, or for triton the model's folder; replaced if it exists.",
            show_default="models/RUN.onnx",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The data set on whose test images the file is verified.",
            show_default="the run's own",
        ),
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="onnx; engine: TensorRT, built for this machine's GPU, or ahead of time where "
            "there is none; triton: a model repository.",
        ),
    ] = _DEFAULTS.format,
    precision: Annotated[
        Precision,
        typer.Option(help="What the layers compute with; int8 needs no other option."),
    ] = _DEFAULTS.precision,
    target: Annotated[
        Target | None,
        typer.Option(
            help="Whose INT8: a CPU's like this one, any CPU's (also those without VNNI), or "
            "TensorRT's.",
            show_default="cpu; tensorrt for engines",
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Unlabelled photos like those to predict, on which INT8's ranges are measured.",
            show_default="the run's training images",
        ),
    ] = None,
    batch: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            metavar="MIN OPT MAX",
            help="Batch sizes of an engine, and the one it is tuned for; triton takes the largest.",
            show_default=f"{_BATCH.minimum} {_BATCH.optimum} {_BATCH.maximum}",
        ),
    ] = None,
    proposals: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Proposals that go through Faster R-CNN's box head; fewer are faster.",
            show_default=str(DEFAULT_PROPOSALS),
        ),
    ] = None,
    faces: Annotated[
        int | None,
        typer.Option(
            help="The most faces that the file finds in a photo; fasterrcnn and lite.",
            show_default=str(DEFAULT_FACES),
        ),
    ] = None,
    canvas: Annotated[
        int | None,
        typer.Option(
            help="Side of the canvas in pixels, a multiple of 32; a larger one finds smaller "
            "faces; fasterrcnn, and for lite the side that predict takes by default.",
            show_default="the run's own",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the weights too, half as large, as one .safetensors file to train on from "
            "and to export again.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where to look for the newest run.")] = Path("runs"),
) -> None:
    """Write a run's best weights as a model file, and verify it against them on real images."""
    from maskinfer.export.exporting import export as export_run
    from maskinfer.train.runs.files import RunFiles

    from .console import err, say
    from .console import out as stdout
    from .verify import parity_table

    settings = ExportSettings(
        out=out,
        data=data,
        format=format_,
        precision=precision,
        target=target,
        calibrate=calibrate,
        batch=None if batch is None else BatchRange(*batch),
        proposals=proposals,
        faces=faces,
        canvas=canvas,
        weights=weights,
    )
    source = run if run is not None else RunFiles.newest(runs, with_weights=True).path
    with err.status(f"Exporting {source}") as status:
        exported = export_run(source, settings, status.update)
    stdout.print(parity_table(exported.parity))
    if exported.note:
        say(f"Note: {exported.note}")
    say(f"Done: {exported.path} ({exported.size_bytes / 1e6:.1f} MB)")
