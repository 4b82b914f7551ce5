"""`maskinfer bench`: how fast this machine predicts, over batch sizes, threads and providers."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from maskinfer.data.dataset import SAMPLE_IMAGES
from maskinfer.data.folders import Failure
from maskinfer.data.sources import Source, Survey, open_source, survey
from maskinfer.errors import DatasetError, MaskinferError, UsageError
from maskinfer.files import check_file, write_text
from maskinfer.inference.bench import BenchSettings, Line, Machine, describe_machine, measure_lines
from maskinfer.inference.speed import Setup, Speed
from maskinfer.runtime.default_model import resolve_model
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session
from maskinfer.text import printable_name

from . import options
from .console import add_figure, err, figures_table, images_per_second, say
from .console import out as stdout
from .detector import FAILED_SOME, model_words

_STDOUT = Path("-")
_COLUMNS = (
    "provider",
    "threads",
    "batch",
    "images/s",
    "network",
    "ratio",
    "p50 ms",
    "p95 ms",
    "decode",
    "MB",
)


def bench(
    images: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGES",
            help="A folder of images, or one image. By default sample_images/.",
            show_default=False,
        ),
    ] = BenchSettings.images,
    model: options.Model = BenchSettings.model,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            min=1,
            help="Images a run of the network; may be given several times. "
            f"By default {', '.join(map(str, BenchSettings.batch_sizes))}.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            help="Threads that decode; may be given several times. By default one for each core "
            "that may be used.",
            show_default=False,
        ),
    ] = None,
    provider: Annotated[
        list[Provider] | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="auto, tensorrt, cuda or cpu; may be given several times. By default auto.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="N", min=0.1, max=3600, help="That a line is measured."),
    ] = BenchSettings.seconds,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write everything to this file; - for stdout.",
            show_default=False,
        ),
    ] = BenchSettings.json,
    overwrite: options.Overwrite = BenchSettings.overwrite,
) -> None:
    """Measure how fast images are predicted, over batch sizes, threads and providers.

    A line for each combination, in a process of its own:
    images/s from files to rows; network: images/s of the network alone, on
    images that are decoded already; ratio: of the two; p50, p95: half of the
    network's batches, and 95 % of them, took no longer; decode: the share of
    all processor time that reading, decoding and resizing took; MB: most
    memory.

    Exit code 0: done; 1: nothing could be measured; 2: wrong usage; 3: done,
    but some lines or images failed.
    """
    settings = BenchSettings(
        images=images,
        model=model,
        batch_sizes=tuple(batch_size or BenchSettings.batch_sizes),
        threads=tuple(threads or BenchSettings.threads),
        providers=tuple(provider or BenchSettings.providers),
        seconds=seconds,
        json=json_file,
        overwrite=overwrite,
    )
    to_stdout = settings.json == _STDOUT
    if settings.json is not None and not to_stdout:
        check_file(settings.json, overwrite=settings.overwrite)
    source, found = _find(settings)
    session = Session(resolve_model(settings.model), Provider.CPU)
    machine = describe_machine()
    console = err if to_stdout else stdout
    _print_heading(console, machine, session, source, found)
    count = len(settings.setups)
    with err.status("") as status:
        lines = measure_lines(
            session,
            source,
            settings,
            lambda setup, done: status.update(f"line {done + 1} of {count}: {_words(setup)}"),
        )
    if settings.json is not None:
        values = _to_dict(machine, session, source, found, settings, lines)
        text = json.dumps(values, indent=2) + "\n"
        if to_stdout:
            typer.echo(text, nl=False)
        else:
            write_text(settings.json, text)
    console.print(_table(lines))
    _say_failures(lines)


def _find(settings: BenchSettings) -> tuple[Source, Survey]:
    images = settings.images
    if images is None:
        if not SAMPLE_IMAGES.is_dir():
            raise UsageError(
                f"no images named, and no {SAMPLE_IMAGES}/ in this folder. "
                "Name some: maskinfer bench IMAGES"
            )
        images = SAMPLE_IMAGES
    source = open_source(images)
    found = survey(source)
    if found.images == 0:
        raise DatasetError(f"{images}: no image in it")
    return source, found


def _print_heading(
    console: Console, machine: Machine, session: Session, source: Source, found: Survey
) -> None:
    table = figures_table()
    lines: dict[str, object] = {
        "machine": f"{machine.cpu or 'unknown processor'}, {machine.cores} cores",
        "GPU": "; ".join(machine.gpus) or "none",
        "versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        "model": f"{session.path} [{model_words(session)}]",
        "sha256": session.sha256,
        "images": f"{found.images} in {source}",
    }
    for name, value in lines.items():
        add_figure(table, name, value)
    console.print(table)
    console.print()


def _table(lines: list[Line]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for number, name in enumerate(_COLUMNS):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> list[str]:
    setup, found = line.setup, line.found
    asked = [str(setup.threads), str(setup.batch_size)]
    if isinstance(found, str):
        return [setup.provider, *asked, "failed"]
    return [
        found.provider,
        *asked,
        _speed(found.images_per_s),
        _speed(found.session_images_per_s),
        f"{found.ratio:.2f}",
        f"{found.latency_p50_ms:.1f}",
        f"{found.latency_p95_ms:.1f}",
        f"{100 * found.decode_share:.0f} %",
        "" if found.peak_memory_mb is None else f"{found.peak_memory_mb:.0f}",
    ]


def _words(setup: Setup) -> str:
    return f"--provider {setup.provider} --threads {setup.threads} --batch-size {setup.batch_size}"


def _speed(images_per_s: float) -> str:
    return images_per_second(1, 1 / images_per_s)


def _say_failures(lines: list[Line]) -> None:
    """Say which lines and images failed, and end with the exit code that says so too."""
    unreadable: dict[str, Failure] = {}
    failed = 0
    for line in lines:
        if isinstance(line.found, Speed):
            unreadable |= {failure.filename: failure for failure in line.found.unreadable}
            continue
        failed += 1
        say(f"failed: {_words(line.setup)}: {line.found}")
    if unreadable:
        first = next(iter(unreadable.values()))
        what = "1 image" if len(unreadable) == 1 else f"{len(unreadable)} images"
        say(
            f"warning: {what} could not be read and do not count; the first: "
            f"{first.filename}: {first.error}"
        )
    if failed == len(lines):
        raise MaskinferError("nothing could be measured")
    if failed or unreadable:
        raise typer.Exit(FAILED_SOME)


def _to_dict(
    machine: Machine,
    session: Session,
    source: Source,
    found: Survey,
    settings: BenchSettings,
    lines: list[Line],
) -> dict[str, Any]:
    return {
        "machine": asdict(machine),
        "model": {
            "path": printable_name(str(session.path)),
            "sha256": session.sha256,
            "words": model_words(session),
        },
        "images": {"folder": printable_name(str(source)), "count": found.images},
        "seconds": settings.seconds,
        "lines": [line.to_dict() for line in lines],
    }
