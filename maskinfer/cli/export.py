"""`maskinfer export` and `maskinfer verify`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from maskinfer.export.settings import (
    DEFAULT_FACES,
    PROPOSALS,
    VERIFIED_ON,
    BatchRange,
    ExportSettings,
)
from maskinfer.text import percent

from .console import check_json, err, make_table, say, write_json
from .console import out as stdout
from .options import JSON, OVERWRITE, argument, option, takes

if TYPE_CHECKING:
    from maskinfer.export.parity import Parity

_AGAINST = {"traced": "traced network", "checkpoint": "checkpoint itself"}


@takes(
    ExportSettings,
    run=argument(
        "A run folder, a file of weights, or the weights that ship.",
        "RUN|FILE|shipped",
        show_default="the newest run",
    ),
    out=option("The model file, or for triton the model's folder.", show_default="models/RUN.onnx"),
    data=option(
        "The data set on whose test images the file is verified.", show_default="the run's own"
    ),
    format=option(
        "onnx; engine: TensorRT, built for this machine's GPU, or ahead of time where there is "
        "none; triton: a model repository."
    ),
    precision=option(
        "What the layers compute with; int8 needs no other option. fp16-weights computes in FP32, "
        "and halves the file."
    ),
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
    overwrite=OVERWRITE,
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

    if batch is not None:
        settings = replace(settings, batch=BatchRange(*batch))
    source = run if run is not None else RunFiles.newest(runs, with_weights=True).path
    with err.status(f"Exporting {source}") as status:
        exported = export_run(source, settings, status.update)
    stdout.print(_parity_table(exported.parity))
    if exported.note:
        say(f"Note: {exported.note}")
    say(f"Done: {exported.path} ({exported.size_bytes / 1e6:.1f} MB)")


def verify(
    model: Annotated[Path, argument("A model file.", "MODEL")],
    against: Annotated[
        Path, option("The run or the weights that it was exported from.", "RUN|FILE|shipped")
    ],
    data: Annotated[
        Path | None,
        option(
            "A data set, whose test images are used, or any folder of photos.",
            "DIR",
            show_default="the run's own",
        ),
    ] = None,
    images: Annotated[
        int, option("Images to compare on at most, evenly spaced over all.", min=1)
    ] = VERIFIED_ON,
    json: Annotated[Path | None, JSON] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Compare the faces that a model file finds with its checkpoint's, on real images.

    Exit code 1 where they differ by more than the file's precision explains.
    """
    from maskinfer.errors import ExportError
    from maskinfer.export.verification import verify_file

    console = check_json(json, overwrite=overwrite)
    with err.status(f"Verifying {model}"):
        parity, faults = verify_file(model, against, data, images)
    write_json(json, lambda: asdict(parity) | {"faults": faults})
    console.print(_parity_table(parity))
    if faults:
        raise ExportError(f"{model}: does not predict what {against} does; {'; '.join(faults)}")


def _parity_table(parity: "Parity") -> Table:
    """Make a table with a row per comparison."""
    headings = (
        *("compared with", "batch", "faces", "unmatched"),
        *("labels", "mean IoU", "largest px", "largest p"),
    )
    rows = (
        (
            *(_AGAINST[one.against], one.batch_size, one.faces, one.unmatched),
            percent(one.label_agreement),
            *(f"{one.mean_iou:.4f}", f"{one.box_px:.2g}", f"{one.probability:.1g}"),
        )
        for one in parity.comparisons
    )
    title = f"Agreement on {parity.images} images"
    return make_table(headings, rows, title=title, box=None, pad_edge=False)
