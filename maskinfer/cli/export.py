"""`maskinfer export`."""

from dataclasses import replace
from pathlib import Path

from maskinfer.export.settings import DEFAULT_FACES, PROPOSALS, BatchRange, ExportSettings

from .options import argument, option, takes


@takes(
    ExportSettings,
    run=argument(
        "A run folder, a file of weights, or the weights that ship.",
        "RUN|FILE|shipped",
        show_default="the newest run",
    ),
    out=option(
        "The model file, or for triton the model's folder; replaced if it exists.",
        show_default="models/RUN.onnx",
    ),
    data=option(
        "The data set on whose test images the file is verified.", show_default="the run's own"
    ),
    format=option(
        "onnx; engine: TensorRT, built for this machine's GPU, or ahead of time where there is "
        "none; triton: a model repository."
    ),
    precision=option("What the layers compute with; int8 needs no other option."),
    target=option(
        "Whose INT8: a CPU's like this one, any CPU's (also those without VNNI), or TensorRT's.",
        show_default="cpu; tensorrt for engines",
    ),
    calibrate=option(
        "Unlabelled photos like those to predict, on which INT8's ranges are measured.",
        "DIR",
        show_default="the run's training images",
    ),
    batch=option(
        "Batch sizes of an engine, and the one it is tuned for; triton takes the largest.",
        "MIN OPT MAX",
        show_default=f"{BatchRange.minimum} {BatchRange.optimum} {BatchRange.maximum}",
    ),
    proposals=option(
        "Proposals that go through Faster R-CNN's box head; fewer are faster.",
        min=1,
        show_default=f"{PROPOSALS[0]}, or as many as agreement takes",
    ),
    faces=option(
        "The most faces that the file finds in a photo; fasterrcnn and lite.",
        show_default=str(DEFAULT_FACES),
    ),
    canvas=option(
        "Side of the canvas in pixels, a multiple of 32; a larger one finds smaller faces; "
        "fasterrcnn, and for lite the side that predict takes by default.",
        show_default="the run's own",
    ),
    weights=option(
        "Write the weights too, half as large, as one .safetensors file to train on from and to "
        "export again.",
        "FILE",
    ),
    runs=option("Where to look for the newest run."),
)
def export(
    settings: ExportSettings,
    run: Path | None = None,
    batch: tuple[int, int, int] | None = None,
    runs: Path = Path("runs"),
) -> None:
    """Write a run's best weights as a model file, and verify it against them on real images."""
    from maskinfer.export.exporting import export as export_run
    from maskinfer.train.runs.files import RunFiles

    from .console import err, say
    from .console import out as stdout
    from .verify import parity_table

    if batch is not None:
        settings = replace(settings, batch=BatchRange(*batch))
    source = run if run is not None else RunFiles.newest(runs, with_weights=True).path
    with err.status(f"Exporting {source}") as status:
        exported = export_run(source, settings, status.update)
    stdout.print(parity_table(exported.parity))
    if exported.note:
        say(f"Note: {exported.note}")
    say(f"Done: {exported.path} ({exported.size_bytes / 1e6:.1f} MB)")
