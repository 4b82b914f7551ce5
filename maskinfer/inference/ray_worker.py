"""What a process of a Ray cluster does: a table of names in, a table of results out.

| table   | columns                                                                              |
| ------- | ------------------------------------------------------------------------------------ |
| names   | filename; error, where there is nothing to read and it is known why                  |
| results | filename, error, x, y, w, h, proper_mask, score, iou, correct, probability; a row    |
|         | without a file name: the model failed, and its error says how                        |

Text travels as the bytes of a file name, which need not be UTF-8.
"""

import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskinfer.data.folders import Failure
from maskinfer.data.images import settle_pillow
from maskinfer.data.remote import RemoteSource
from maskinfer.errors import MaskinferError
from maskinfer.runtime.providers import Provider

from .detector import MaskDetector
from .pipeline import predict_images
from .results import Row


@dataclass(frozen=True)
class WorkerSettings:
    """What a process is told.

    Attributes:
        model: the model file's name, for messages.
        provider: what computes.
        has_gpu: whether it must be a GPU.
        batch_size: images a run.
        max_pixels: images of more are not decoded.
        session_threads: CPU threads inside the network.
        decode_threads: threads that read and decode.
        images: where names start from; a folder's path is absolute.
        must_exist: whether it is an error of the run where that folder is not there.
    """

    model: str
    provider: Provider
    has_gpu: bool
    batch_size: int
    max_pixels: int
    session_threads: int
    decode_threads: int
    images: Path | RemoteSource
    must_exist: bool


class Worker:
    """One process: its own session, and threads that decode for it."""

    def __init__(self, model: Any, settings: WorkerSettings) -> None:
        """Take Ray's reference to the model file's bytes; load nothing yet."""
        self._model = model
        self._settings = settings

    def __call__(self, names: Any) -> Any:
        """Predict a table of names: a table of as many results, in their order."""
        try:
            # The model is loaded here: what a constructor raises, Ray tells in pages.
            told = self._settings
            images = told.images
            image = images.joinpath if isinstance(images, Path) else images.image
            results = predict_images(self._detector, image, read_names(names), told.decode_threads)
            return results_table(list(results))
        except MaskinferError as error:
            return results_table([Failure("", f"{error}")], failed=True)

    @cached_property
    def _detector(self) -> MaskDetector:
        """The model, loaded from a file that is gone afterwards.

        Raises:
            MaskinferError: the model cannot run here, or the images are not here.
        """
        import ray

        told = self._settings
        here = f"Ray worker on {platform.node()}"
        settle_pillow(told.max_pixels)
        if told.must_exist and isinstance(told.images, Path) and not told.images.is_dir():
            raise MaskinferError(
                f"{told.images}: no such folder for the {here}. Expected a file system that all "
                "machines share, at the same path, or an address such as s3://bucket/folder"
            )
        with tempfile.TemporaryDirectory(prefix="maskinfer-") as folder:
            path = Path(folder, Path(told.model).name)
            path.write_bytes(ray.get(self._model))
            try:
                detector = MaskDetector(
                    path,
                    told.provider,
                    told.batch_size,
                    max_pixels=told.max_pixels,
                    threads=told.session_threads,
                )
            except MaskinferError as error:
                message = str(error).replace(str(path), told.model)
                raise MaskinferError(f"{here}: {message}") from error
        detector.session.path = Path(told.model)
        if told.has_gpu and detector.session.provider is Provider.CPU:
            raise MaskinferError(
                f"{here}: has a GPU and does not use it, {detector.session.note}. "
                "To run on CPUs: --actor-gpus 0"
            )
        return detector


def names_table(names: Iterable[str | Failure]) -> Any:
    """Names as an Arrow table."""
    import pyarrow as pa

    rows = [
        {"filename": os.fsencode(name.filename), "error": os.fsencode(name.error)}
        if isinstance(name, Failure)
        else {"filename": os.fsencode(name), "error": None}
        for name in names
    ]
    schema = pa.schema([("filename", pa.binary()), ("error", pa.binary())])
    return pa.Table.from_pylist(rows, schema=schema)


def read_names(table: Any) -> list[str | Failure]:
    """Names of an Arrow table."""
    return [
        os.fsdecode(row["filename"])
        if row["error"] is None
        else Failure(os.fsdecode(row["filename"]), os.fsdecode(row["error"]))
        for row in table.to_pylist()
    ]


def results_table(results: Iterable[Row | Failure], *, failed: bool = False) -> Any:
    """Results as an Arrow table; where the model failed, one `Failure` that says how."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("filename", pa.binary()),
            ("error", pa.binary()),
            *((side, pa.int32()) for side in "xywh"),
            ("proper_mask", pa.bool_()),
            ("score", pa.float64()),
            ("iou", pa.float64()),
            ("correct", pa.bool_()),
            ("probability", pa.float64()),
        ]
    )
    rows: list[dict[str, Any]] = []
    for result in results:
        row: dict[str, Any] = {"filename": None if failed else os.fsencode(result.filename)}
        if isinstance(result, Failure):
            row["error"] = os.fsencode(result.error)
        else:
            row |= dict(zip("xywh", result.box_xywh, strict=True))
            for name in ("proper_mask", "score", "iou", "correct", "probability"):
                row[name] = getattr(result, name)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema)


def read_results(table: Any) -> Iterator[Row | Failure]:
    """Results of an Arrow table.

    Raises:
        MaskinferError: the model failed.
    """
    for row in table.to_pylist():
        error = row.pop("error")
        if row["filename"] is None:
            raise MaskinferError(os.fsdecode(error))
        filename = os.fsdecode(row.pop("filename"))
        if error is not None:
            yield Failure(filename, os.fsdecode(error))
        else:
            x, y, w, h = (row.pop(side) for side in "xywh")
            yield Row(filename, (x, y, w, h), **row)
