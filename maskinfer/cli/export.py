"""`maskinfer export`."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.export.settings import ExportSettings, Storage

_DEFAULTS = ExportSettings()


def export(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="A run folder.", show_default="the newest one"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The model file, ending in .onnx; replaced if it exists.",
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
    storage: Annotated[
        Storage,
        typer.Option(help="How weights are stored; fp16 halves the file, computing stays FP32."),
    ] = _DEFAULTS.storage,
    proposals: Annotated[
        int,
        typer.Option(min=1, help="Proposals that go through Faster R-CNN's box head."),
    ] = _DEFAULTS.proposals,
    runs: Annotated[Path, typer.Option(help="Where the newest run is looked for.")] = Path("runs"),
) -> None:
    """Write a run's best weights as an ONNX file, and verify it against them on real images."""
    from maskinfer.export import job
    from maskinfer.train.run_folder import RunFolder

    from .console import err, say

    folder = RunFolder(run) if run is not None else RunFolder.newest(runs)
    settings = ExportSettings(out, data, storage, proposals)
    with err.status(f"Exporting {folder.path}"):
        done = job.export(folder, settings)
    parity = done.parity
    for batch in parity.batches:
        say(
            f"batch {batch.batch_size}: largest difference from the checkpoint "
            f"{batch.box_px:.2g} px, {batch.probability:.1g} in probability"
        )
    say(
        f"Verified on {parity.images} images: labels agree on {parity.label_agreement:.1%}, "
        f"mean IoU {parity.mean_iou:.4f}"
    )
    say(f"Done: {done.path} ({done.path.stat().st_size / 1e6:.1f} MB)")
