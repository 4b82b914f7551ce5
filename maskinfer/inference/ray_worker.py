"""What a process of a Ray cluster does: blocks of names in, results out.

Ray Data moves Arrow tables. Here a row of one is a pickled value:

| table   | value of a row                                                                       |
| ------- | ------------------------------------------------------------------------------------ |
| blocks  | `Block`: names, or results that are known already                                    |
| results | a list of as many `Result`; a `MaskinferError` where the model failed                |
"""

import pickle
import platform
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maskinfer.data.images import settle_pillow
from maskinfer.data.remote import RemoteSource
from maskinfer.data.sources import NamesSource
from maskinfer.errors import MaskinferError
from maskinfer.runtime.providers import Provider

from .detector import MaskDetector
from .pipeline import predict_images
from .results import Result

if TYPE_CHECKING:
    from .predicting import PredictSettings

# A block that kills this many processes after the first, such as by a decoder that crashes, will
# kill all of them.
_RETRIES = 5
_LEAST_DECODE_THREADS = 4
_COLUMN = "pickled"


class Block(NamedTuple):
    """What a process predicts in one call; its number in its chunk is for counting attempts."""

    number: int
    names: list[str | Result]


class Attempts:
    """Counts, in a process of its own, how often each block was begun.

    Ray Data would otherwise repeat for ever a block whose images kill every process that reads
    them. The argument that bounds Ray's own retries is removed from its 2.64.
    """

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, block: int) -> int:
        """Count one more attempt at a block; how many it has had."""
        self._begun[block] += 1
        return self._begun[block]


@dataclass(frozen=True)
class ActorPool:
    """The processes of a cluster: what each has, a part of a CPU or GPU or whole ones.

    There are as many as fit on the machines of this moment; more start with more machines.
    """

    size: int
    cpus: float
    gpus: float
    provider: Provider

    @property
    def threads(self) -> int:
        """CPU threads of each process."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class WorkerSettings:
    """What a process needs to know."""

    model: str  # the model file's name, for messages
    predict: "PredictSettings"  # what the user asked for
    pool: ActorPool  # with the provider, and the process's share of a machine
    images: Path | RemoteSource  # where names start from; a folder's path is absolute
    must_exist: bool  # whether a missing folder is an error of its own, not one of each image


class Worker:
    """One process: its own session, and threads that decode for it."""

    def __init__(self, model: Any, attempts: Any, settings: WorkerSettings) -> None:
        """Take Ray's references to the model file's bytes and to `Attempts`; load nothing yet."""
        self._model = model
        self._attempts = attempts
        self._settings = settings

    def __call__(self, blocks: Any) -> Any:
        """Predict a table of blocks: a table of their results."""
        return pack([self._predict(block) for block in unpack(blocks)])

    def _predict(self, block: Block) -> list[Result] | MaskinferError:
        import ray

        settings = self._settings
        images = settings.images
        source = NamesSource(images, ()) if isinstance(images, Path) else images
        try:
            if ray.get(self._attempts.begin.remote(block.number)) > _RETRIES + 1:
                raise MaskinferError(
                    f"--engine ray: a process died {_RETRIES + 1} times on the same images; an "
                    "image may crash its decoder, or memory is short: try a larger --actor-cpus"
                )
            # The model is loaded here: what a constructor raises, Ray reports in pages.
            # Threads that wait for a disk or a network do not need a core each.
            threads = settings.predict.threads or max(settings.pool.threads, _LEAST_DECODE_THREADS)
            results = predict_images(
                *(self._detector, source.image, block.names, threads),
                is_reachable=source.is_reachable,
            )
            return list(results)
        except MaskinferError as error:
            return MaskinferError(str(error))  # of the base class, which can be pickled

    @cached_property
    def _detector(self) -> MaskDetector:
        """The model; a `MaskinferError` where it cannot run here, or the images are not here."""
        import ray

        settings, images = self._settings, self._settings.images
        here = f"Ray worker on {platform.node()}"
        max_pixels = settings.predict.max_pixels
        settle_pillow(max_pixels)
        if settings.must_exist and isinstance(images, Path) and not images.is_dir():
            raise MaskinferError(
                f"{images}: no such folder for the {here}. Expected a file system that all "
                "machines share, at the same path, or an address such as s3://bucket/folder"
            )
        with tempfile.TemporaryDirectory(prefix="maskinfer-") as folder:
            path = Path(folder, Path(settings.model).name)
            path.write_bytes(ray.get(self._model))
            try:
                detector = MaskDetector(
                    path,
                    **settings.predict.asked() | {"provider": settings.pool.provider},
                    max_pixels=max_pixels,
                    threads=settings.pool.threads,
                )
            except MaskinferError as error:
                message = str(error).replace(str(path), settings.model)
                raise MaskinferError(f"{here}: {message}") from error
        detector.session.path = Path(settings.model)
        if settings.pool.gpus and not detector.session.provider.on_gpu:
            raise MaskinferError(
                f"{here}: has a GPU and does not use it, {detector.session.note}. "
                "To run on CPUs: --actor-gpus 0"
            )
        return detector


def pack(values: Iterable[object]) -> Any:
    """Values as an Arrow table, a row each."""
    import pyarrow as pa

    return pa.table({_COLUMN: pa.array([pickle.dumps(value) for value in values], pa.binary())})


def unpack(table: Any) -> list[Any]:
    """The values of an Arrow table that `pack` made."""
    return [pickle.loads(row) for row in table[_COLUMN].to_pylist()]
