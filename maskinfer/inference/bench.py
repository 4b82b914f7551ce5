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
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL

from maskinfer.data.images import settle_pillow
from maskinfer.data.sources import Source
from maskinfer.errors import MaskinferError, ProviderError
from maskinfer.runtime import cpu, gpu
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session, import_onnxruntime
from maskinfer.text import printable_name
from maskinfer.threads import usable_cores
from maskinfer.version import __version__

from .pipeline import decode_threads
from .speed import Setup, Speed, measure

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True)
class BenchSettings:
    """What `maskinfer bench` measures.

    Attributes:
        images: a folder of images, or one image; None for the sample images.
        model: the model file; None for the newest export, else the one that ships.
        batch_sizes: images a run.
        threads: that decode; empty for one a core.
        providers: what computes.
        seconds: that a line is measured for, without starting and warming up.
        json: where everything is written; None for nowhere.
        overwrite: whether an existing `json` is replaced.
    """

    images: Path | None = None
    model: Path | None = None
    batch_sizes: tuple[int, ...] = (1, 8, 16, 32)
    threads: tuple[int, ...] = ()
    providers: tuple[Provider, ...] = (Provider.AUTO,)
    seconds: float = 3.0
    json: Path | None = None
    overwrite: bool = False

    @property
    def setups(self) -> list[Setup]:
        """The lines, in order, each once."""
        threads = self.threads or (decode_threads(),)
        return [
            Setup(provider, count, batch_size)
            for provider, count, batch_size in dict.fromkeys(
                product(self.providers, threads, self.batch_sizes)
            )
        ]


@dataclass(frozen=True)
class Line:
    """A line of the table: what was measured, or why nothing was."""

    setup: Setup
    found: Speed | str

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        asked = {**asdict(self.setup), "provider": str(self.setup.provider)}
        if isinstance(self.found, str):
            return {**asked, "error": printable_name(self.found)}
        values = asdict(self.found) | {"ratio": self.found.ratio}
        provider = str(values.pop("provider"))
        unreadable = [printable_name(failure.filename) for failure in self.found.unreadable]
        return asked | {"error": None, "ran_on": provider} | values | {"unreadable": unreadable}


@dataclass(frozen=True)
class Machine:
    """Where and with what was measured.

    Attributes:
        cpu: what the processor calls itself; may be empty.
        cores: logical cores that this process may use.
        gpus: what `nvidia-smi` says, a line for each.
        platform: the operating system.
        versions: of maskinfer and what it runs on.
    """

    cpu: str
    cores: int
    gpus: tuple[str, ...]
    platform: str
    versions: dict[str, str]


def describe_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        cpu.cpu_name(),
        usable_cores(),
        gpu.ask_nvidia_smi().gpus,
        platform.platform(),
        {
            "maskinfer": __version__,
            "onnxruntime": import_onnxruntime().__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "python": platform.python_version(),
        },
    )


def measure_lines(
    session: Session,
    source: Source,
    settings: BenchSettings,
    on_line: Callable[[Setup, int], object] = lambda setup, done: None,
) -> list[Line]:
    """Measure every line, one after the other.

    Args:
        session: of the model, which says which file it is.
        source: the images, at least one.
        settings: as the user gave them.
        on_line: called before each line with what is measured, and the number of lines done.
    """
    lines: list[Line] = []
    for setup in settings.setups:
        on_line(setup, len(lines))
        lines.append(Line(setup, _in_a_process(session.path, source, setup, settings.seconds)))
    return lines


def _in_a_process(model: Path, source: Source, setup: Setup, seconds: float) -> Speed | str:
    import multiprocessing  # here: the other commands start without it

    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    arguments = (sender, model, source, setup, seconds)
    process = spawn.Process(target=_report, args=arguments, daemon=True)
    # What a process ignores its children ignore from their first moment on: the parent alone
    # answers to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    sender.close()
    try:
        found: Speed | str = receiver.recv()
    except EOFError:
        process.join()
        found = f"its process ended with code {process.exitcode}; not enough memory?"
    finally:
        process.kill()
        process.join()
        receiver.close()
    return found


def _report(
    sender: "Connection", model: Path, source: Source, setup: Setup, seconds: float
) -> None:
    """Measure one line, in the process that is its own."""
    settle_pillow()
    try:
        sender.send(measure(model, source, setup, seconds))
    except ProviderError as error:
        sender.send(error.obstacle)
    except MaskinferError as error:
        sender.send(str(error))
    except Exception as error:  # a provider may raise what it likes; the other lines go on
        sender.send(" ".join(f"{type(error).__name__}: {error}".split()))
