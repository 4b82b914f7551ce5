"""The Python API: images in, predictions out.

>>> from maskinfer import MaskDetector
>>> detector = MaskDetector()
>>> prediction = detector("photo.jpg")
>>> predictions = detector(["a.jpg", "b.png"])
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from PIL import Image

from maskinfer.data.cleaning import repair
from maskinfer.data.geometry import Placement, canvas_to_image, decode_wh, place
from maskinfer.data.images import MAX_PIXELS, ImageSource, load_photo
from maskinfer.data.labels import BoxXywh
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ImageError, ModelFileError
from maskinfer.runtime.default_model import EXPORTS, resolve_model
from maskinfer.runtime.providers import DEFAULT_BATCH_SIZE
from maskinfer.runtime.session import Session

AnyImage = TypeVar("AnyImage", bound=ImageSource)

NOT_FINITE = "the model's output is not finite"


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one image.

    Attributes:
        box_xywh: the face in whole pixels of the upright image, inside it, at least 1 x 1.
        proper_mask: whether the mask is worn properly: probability >= the model's threshold.
        probability: that the mask is worn properly, 0..1.
        score: confidence in the box, 0..1.
    """

    box_xywh: BoxXywh
    proper_mask: bool
    probability: float
    score: float


class MaskDetector:
    """Finds the one face in a photo and says whether its mask is worn properly.

    Attributes:
        session: the loaded model, with its file, provider and threshold.
        max_pixels: images with more pixels are refused.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        provider: str = "auto",
        batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
        streams: int = 1,
    ) -> None:
        """Load a model.

        Args:
            model: a model file; where None, the newest `*.onnx` under `models/`, else the model
                that ships in the package.
            provider: `auto`, `tensorrt`, `cuda` or `cpu`.
            batch_size: images per batch, at least 1. A GPU always computes whole batches: use 1
                for single images there.
            max_pixels: images with more pixels are refused. Pillow has a limit of its own, which
                the command line raises: see `maskinfer.data.images.MAX_PIXELS`.
            threads: CPU threads of the network; None for one a core.
            streams: batches that are computed at the same time and share those threads.

        Raises:
            UsageError: no such file, or the provider asked for cannot run here.
            ModelFileError: there is no model, or the file is damaged or not one of ours.
        """
        self.max_pixels = max_pixels
        path = resolve_model(None if model is None else Path(model))
        try:
            self.session = Session(path, provider, batch_size, threads=threads, streams=streams)
        except ModelFileError as error:
            if model is not None or not path.is_relative_to(EXPORTS):
                raise
            raise ModelFileError(
                f"{error} (the newest under {EXPORTS}/; choose another with --model FILE)"
            ) from error

    @overload
    def __call__(self, images: ImageSource) -> Prediction: ...

    @overload
    def __call__(self, images: list[AnyImage] | tuple[AnyImage, ...]) -> list[Prediction]: ...

    def __call__(
        self, images: ImageSource | list[AnyImage] | tuple[AnyImage, ...]
    ) -> Prediction | list[Prediction]:
        """Predict one image, or a list or tuple of images.

        Args:
            images: a path, the bytes of a file, a Pillow image, a (H, W, 3) or (H, W) uint8 RGB
                array; or a list or tuple of those.

        Returns:
            one prediction for one image, a list in the same order for a list.

        Raises:
            ImageError: an image cannot be read; the message names it.
        """
        if not isinstance(images, list | tuple):
            return self._predict([images])[0]
        predictions: list[Prediction] = []
        for start in range(0, len(images), self.session.batch_size):
            predictions += self._predict(images[start : start + self.session.batch_size], start)
        return predictions

    def make_canvas(self, source: ImageSource) -> tuple[Pixels, Placement]:
        """Decode an image and draw it on the canvas that this model reads.

        Returns:
            the canvas, (S, S, 3) uint8 RGB, and where the photo lies on it.

        Raises:
            ImageError: the source cannot be read as an image.
        """
        geometry = self.session.metadata.geometry
        photo = load_photo(source, partial(decode_wh, geometry), self.max_pixels)
        return place(photo, geometry)

    def predict_canvases(
        self, canvases: Sequence[Pixels] | Pixels, placements: Sequence[Placement]
    ) -> list[Prediction | None]:
        """Predict canvases that `make_canvas` drew.

        Args:
            canvases: up to `batch_size` of (S, S, 3) uint8 RGB, or one array of them; may be
                empty.
            placements: as many.

        Returns:
            a prediction for each; None where the model's output is not finite.
        """
        if not len(canvases):
            return []
        outputs = self.session.run(np.asarray(canvases))  # (N, S, S, 3)
        finite = (
            np.isfinite(outputs.boxes_xywh).all(axis=1)
            & np.isfinite(outputs.proper_mask)
            & np.isfinite(outputs.score)
        )
        boxes_xywh = np.where(finite[:, None], outputs.boxes_xywh, 0.0)
        columns = zip(
            finite,
            canvas_to_image(boxes_xywh, placements),
            placements,
            outputs.proper_mask.tolist(),
            outputs.score.tolist(),
            strict=True,
        )
        return [
            Prediction(
                _to_whole_pixels(box_xywh, placement.size_wh),
                probability >= self.session.metadata.threshold,
                probability,
                score,
            )
            if is_finite
            else None
            for is_finite, box_xywh, placement, probability, score in columns
        ]

    def _predict(self, sources: Sequence[ImageSource], start: int = 0) -> list[Prediction]:
        names = [_name(source, start + i) for i, source in enumerate(sources)]
        drawn = []
        for name, source in zip(names, sources, strict=True):
            try:
                drawn.append(self.make_canvas(source))
            except ImageError as error:
                raise ImageError(f"{name}: {error}") from error
        canvases, placements = zip(*drawn, strict=True)
        predictions = []
        for name, prediction in zip(
            names, self.predict_canvases(canvases, placements), strict=True
        ):
            if prediction is None:
                raise ImageError(f"{name}: {NOT_FINITE}")
            predictions.append(prediction)
        return predictions


def _to_whole_pixels(box_xywh: np.ndarray, size_wh: tuple[int, int]) -> BoxXywh:
    """Round a box's edges to pixels; at least one pixel inside the image stays."""
    left, top = np.floor(box_xywh[:2] + 0.5)
    right, bottom = np.floor(box_xywh[:2] + box_xywh[2:] + 0.5)
    return repair((int(left), int(top), int(right - left), int(bottom - top)), size_wh)


def _name(source: ImageSource, index: int) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    kind = "array" if isinstance(source, np.ndarray) else type(source).__name__
    return f"image {index} ({kind})" if not isinstance(source, Image.Image) else f"image {index}"
