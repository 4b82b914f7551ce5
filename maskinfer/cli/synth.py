"""`maskinfer synth`."""

from pathlib import Path
from typing import Annotated

import typer


def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the images are written.")],
    count: Annotated[int, typer.Option(min=1, max=999_999, help="Number of images.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 0,
    size: Annotated[
        int, typer.Option(min=64, max=2048, help="The images' longer side, in pixels.")
    ] = 224,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace what synth drew into DIR; refused where DIR holds other labelled images.",
        ),
    ] = False,
) -> None:
    """Draw labelled sample images: faces with masks worn properly, wrongly, and not at all."""
    from rich.progress import Progress

    from maskinfer.train.synthetic.samples import SynthSettings, write_samples

    from .console import err, say

    settings = SynthSettings(count=count, seed=seed, size_px=size)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("Drawing", total=count)
        write_samples(
            folder,
            settings,
            overwrite=overwrite,
            on_progress=lambda written: progress.update(task, completed=written),
        )
    say(f"{count} images written to {folder}")
