"""`maskinfer bench`: how fast this machine predicts, over batch sizes, threads and providers."""

from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maskinfer.data.folders import Failure
from maskinfer.errors import MaskinferError
from maskinfer.inference.bench import Bench, BenchSettings, Line
from maskinfer.inference.speed import Setup, Speed
from maskinfer.text import counted, images_per_second, printable_name

from . import options
from .console import check_json, err, figures_table, make_table, say, write_json
from .detector import FAILED_SOME, model_words
from .options import argument, option, takes

_COLUMNS: dict[str, Callable[[Speed], str]] = {
    "images/s": lambda speed: images_per_second(1, 1 / speed.images_per_s),
    "network": lambda speed: images_per_second(1, 1 / speed.session_images_per_s),
    "ratio": lambda speed: f"{speed.ratio:.2f}",
    "p50 ms": lambda speed: f"{speed.latency_p50_ms:.1f}",
    "p95 ms": lambda speed: f"{speed.latency_p95_ms:.1f}",
    "decode": lambda speed: f"{100 * speed.decode_share:.0f} %",
    "MB": lambda speed: "" if speed.peak_memory_mb is None else f"{speed.peak_memory_mb:.0f}",
}


@takes(
    BenchSettings,
    images=argument("A folder of images, or one image. By default sample_images/.", "IMAGES"),
    model=options.MODEL,
    batch_sizes=option(
        "Images per batch; may be given several times. "
        f"By default {', '.join(map(str, BenchSettings.batch_sizes))}.",
        "N",
        "--batch-size",
        min=1,
    ),
    threads=option(
        "Threads that decode; may be given several times. By default one for each core that may be "
        "used.",
        "N",
        min=1,
    ),
    providers=option(
        "auto, tensorrt, cuda, openvino or cpu; may be given several times. By default auto.",
        "NAME",
        "--provider",
    ),
    provider_options=option(
        "An option of the provider's own, such as CUDA's enable_cuda_graph=1 or prefer_nhwc=1; may "
        "be given several times. Every line is measured without and with them.",
        "NAME=VALUE",
        "--provider-option",
    ),
    seconds=option("How long to measure each line.", "N", min=0.1, max=3600),
    json=options.JSON,
    overwrite=options.OVERWRITE,
)
def bench(settings: BenchSettings) -> None:
    """Measure how fast images are predicted, over batch sizes, threads and providers.

    One line for each combination, in a process of its own:
    images/s: from files to rows; network: images/s of the network alone, on
    images that are decoded already; ratio: of the two; p50, p95: half of the
    network's batches, and 95 % of them, took no longer; decode: the share of
    all processor time that reading, decoding and resizing took; MB: peak
    memory.

    Exit code 0: done; 1: nothing could be measured; 2: wrong usage; 3: done,
    but some lines or images failed.
    """
    console = check_json(settings.json, overwrite=settings.overwrite)
    bench = Bench.open(settings)
    _print_heading(console, bench)
    count = len(settings.setups)
    with err.status("") as status:
        lines = bench.measure(
            lambda setup, done: status.update(
                escape(f"line {done + 1} of {count}: {_options(setup)}")
            )
        )
    write_json(settings.json, lambda: _to_dict(bench, lines))
    console.print(_table(lines))
    _report_failures(lines)


def _print_heading(console: Console, bench: Bench) -> None:
    machine, session = bench.machine, bench.session
    lines: dict[str, object] = {
        "machine": f"{machine['cpu'] or 'unknown processor'}, {machine['cores']} cores",
        "GPU": "; ".join(machine["gpus"]) or "none",
        "versions": ", ".join(
            f"{name} {number}" for name, number in machine["versions"].items() if number
        ),
        "model": f"{session.path} [{model_words(session)}]",
        "sha256": session.sha256,
        "images": f"{bench.images} in {bench.source}",
    }
    console.print(figures_table(lines))
    console.print()


def _table(lines: list[Line]) -> Table:
    rows = []
    for setup, result in ((line.setup, line.result) for line in lines):
        provider, cells = setup.provider, ["failed"]
        if isinstance(result, Speed):
            provider, cells = result.provider, [cell(result) for cell in _COLUMNS.values()]
        words = " ".join([provider, *map("=".join, setup.provider_options)])
        rows.append((words, setup.threads, setup.batch_size, *cells))
    headings = ("provider", "threads", "batch", *_COLUMNS)
    return make_table(headings, rows, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _options(setup: Setup) -> str:
    given = "".join(f" --provider-option {n}={value}" for n, value in setup.provider_options)
    return (
        f"--provider {setup.provider}{given} --threads {setup.threads} "
        f"--batch-size {setup.batch_size}"
    )


def _report_failures(lines: list[Line]) -> None:
    """Name the lines and images that failed, and exit with a code where any did."""
    unreadable: dict[str, Failure] = {}
    failed = 0
    for line in lines:
        if isinstance(line.result, Speed):
            unreadable |= {failure.filename: failure for failure in line.result.unreadable}
        else:
            failed += 1
            say(f"failed: {_options(line.setup)}: {line.result}")
    if unreadable:
        first = next(iter(unreadable.values()))
        say(
            f"warning: {counted(len(unreadable), 'image')} could not be read and do not count; "
            f"the first: {first.filename}: {first.error}"
        )
    if failed == len(lines):
        raise MaskinferError("nothing could be measured")
    if failed or unreadable:
        raise typer.Exit(FAILED_SOME)


def _to_dict(bench: Bench, lines: list[Line]) -> dict[str, Any]:
    session = bench.session
    return {
        "machine": bench.machine,
        "model": {
            "path": printable_name(str(session.path)),
            "sha256": session.sha256,
            "words": model_words(session),
        },
        "images": {"folder": printable_name(str(bench.source)), "count": bench.images},
        "seconds": bench.settings.seconds,
        "lines": [line.to_dict() for line in lines],
    }
