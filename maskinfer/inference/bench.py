"""How fast this machine predicts: over batch sizes, decode threads and providers.

Each line of the table is measured in a process of its own (`speed`), so that neither peak
memory nor what a provider leaves behind passes from one to the next.
"""

import platform
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import PIL

from maskinfer.data.dataset import sample_images
from maskinfer.data.images import settle_pillow
from maskinfer.data.sources import Source, open_source, survey
from maskinfer.errors import DatasetError
from maskinfer.runtime import cpu, gpu
from maskinfer.runtime.default_model import resolve_model
from maskinfer.runtime.doctor import version_of
from maskinfer.runtime.onnx_runtime import import_onnxruntime
from maskinfer.runtime.providers import Provider, explain, named_options
from maskinfer.runtime.session import Session
from maskinfer.text import printable_name
from maskinfer.threads import decode_threads, usable_cores
from maskinfer.version import __version__

from .speed import Setup, Speed, measure

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True)
class BenchSettings:
    """What `maskinfer bench` measures."""

    images: Path | None = None  # a folder of images, or one image; None for the sample images
    model: Path | None = None  # the model file; None for the newest export, else the one that ships
    batch_sizes: tuple[int, ...] = (1, 8, 16, 32)  # images per batch
    threads: tuple[int, ...] = ()  # that decode; empty for one a core
    providers: tuple[Provider, ...] = (Provider.AUTO,)  # what computes
    # The provider's own, each as NAME=VALUE; where there are any, every line is measured without
    # and with them.
    provider_options: tuple[str, ...] = ()
    seconds: float = 3.0  # how long each line is measured, without starting and warming up
    # Where everything is written, `-` for standard output; None for nowhere.
    json: Path | None = None
    overwrite: bool = False  # whether an existing `json` is replaced

    @property
    def setups(self) -> list[Setup]:
        """The lines, in order, each once."""
        threads = self.threads or (decode_threads(),)
        options = dict.fromkeys([(), tuple(named_options(self.provider_options).items())])
        combinations = product(self.providers, threads, self.batch_sizes, options)
        setups = (Setup(*combination) for combination in dict.fromkeys(combinations))
        return [s for s in setups if not (s.provider is Provider.CPU and s.provider_options)]


@dataclass(frozen=True)
class Line:
    """A line of the table: what was measured, or why nothing was."""

    setup: Setup
    result: Speed | str

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON can hold it."""
        setup = self.setup
        asked: dict[str, Any] = {
            "provider": str(setup.provider),
            "provider_options": dict(setup.provider_options),
            "threads": setup.threads,
            "batch_size": setup.batch_size,
        }
        if isinstance(self.result, str):
            return {**asked, "error": printable_name(self.result)}
        values = asdict(self.result) | {"ratio": self.result.ratio}
        provider = str(values.pop("provider"))
        unreadable = [printable_name(failure.filename) for failure in self.result.unreadable]
        return asked | {"error": None, "ran_on": provider} | values | {"unreadable": unreadable}


@dataclass(frozen=True)
class Bench:
    """What is measured, and where."""

    settings: BenchSettings  # as the user gave them
    machine: dict[str, Any]  # this one, as JSON can hold it
    session: Session  # the model on the CPU, which names and describes its file
    source: Source  # the images
    images: int  # how many there are, at least one

    @classmethod
    def open(cls, settings: BenchSettings) -> Self:
        """Find the images and the model, before anything is measured.

        A `UsageError` where there are none, or an option is malformed, a `DatasetError` of an empty
        folder, a `ModelFileError` of a model file that is damaged or not one of ours.
        """
        named_options(settings.provider_options)
        images = settings.images or sample_images("maskinfer bench IMAGES")
        source = open_source(images)
        count = survey(source).images
        if count == 0:
            raise DatasetError(f"{images}: no image in it")
        session = Session(resolve_model(settings.model), Provider.CPU)
        return cls(settings, _describe_machine(), session, source, count)

    def measure(self, on_line: Callable[[Setup, int], object]) -> list[Line]:
        """Measure every line; `on_line` hears before each of its setup and how many are done."""
        lines: list[Line] = []
        for setup in self.settings.setups:
            on_line(setup, len(lines))
            result = _in_a_process(self.session.path, self.source, setup, self.settings.seconds)
            lines.append(Line(setup, result))
        return lines


def _describe_machine() -> dict[str, Any]:
    return {
        "cpu": cpu.cpu_name(),
        "cores": usable_cores(),
        "gpus": gpu.ask_nvidia_smi().gpus,
        "platform": platform.platform(),
        "versions": {
            "maskinfer": __version__,
            "onnxruntime": import_onnxruntime().__version__,
            "openvino": version_of("openvino"),
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "python": platform.python_version(),
        },
    }


def _in_a_process(model: Path, source: Source, setup: Setup, seconds: float) -> Speed | str:
    import multiprocessing  # here: the other commands start without it

    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    arguments = (sender, model, source, setup, seconds)
    process = spawn.Process(target=_report, args=arguments, daemon=True)
    # A child inherits what its parent ignores: the parent alone answers to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    sender.close()
    try:
        result: Speed | str = receiver.recv()
    except EOFError:
        process.join()
        result = f"its process ended with code {process.exitcode}; not enough memory?"
    finally:
        process.kill()
        process.join()
        receiver.close()
    return result


def _report(
    sender: "Connection", model: Path, source: Source, setup: Setup, seconds: float
) -> None:
    """Measure one line, in its own process."""
    settle_pillow()
    try:
        sender.send(measure(model, source, setup, seconds))
    except Exception as error:  # the other lines are still measured
        sender.send(explain(error))
