"""`maskinfer synth`."""

from pathlib import Path

from rich.progress import Progress

from maskinfer.train.synthetic.samples import SynthSettings, write_samples

from .console import err, say
from .options import argument, option, takes


@takes(
    SynthSettings,
    folder=argument("Where the images are written.", "DIR"),
    count=option("Number of images.", min=1, max=999_999),
    seed=option("The same seed draws the same images.", min=0),
    size_px=option("The images' longer side, in pixels.", name="--size", min=64, max=2048),
    overwrite=option(
        "Replace what synth drew into DIR; refused where DIR holds other labelled images.",
        name="--overwrite",
    ),
)
def synth(settings: SynthSettings, folder: Path, overwrite: bool = False) -> None:
    """Draw labelled sample images: faces with masks worn properly, wrongly, and not at all."""
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("Drawing", total=settings.count)
        write_samples(
            folder,
            settings,
            overwrite=overwrite,
            on_progress=lambda written: progress.update(task, completed=written),
        )
    say(f"{settings.count} images written to {folder}")
