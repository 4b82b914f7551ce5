"""The Python API: images in, predictions out.

>>> from maskinfer import MaskDetector
>>> detector = MaskDetector()
>>> prediction = detector("photo.jpg")  # of the main face; None where nobody is seen
>>> predictions = detector(["a.jpg", "b.png"])
>>> (faces,) = detector.faces(["photo.jpg"])  # every face
"""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray
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

from .choosing import Choice, FaceRule, choose
from .pipeline import predict_images
from .results import NOT_FINITE, Prediction, Result

AnyImage = TypeVar("AnyImage", bound=ImageSource)


class MaskDetector:
    """Finds the faces in a photo and says whether their masks are worn properly.

    Attributes:
        session: the loaded model, with its file, provider and canvas.
        choice: which face of several a prediction is about, and from which figures on one counts.
        max_pixels: images with more pixels are refused.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        provider: str = "auto",
        batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        face: FaceRule = "main",
        min_score: float | None = None,
        threshold: float | None = None,
        canvas: int | None = None,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
        streams: int = 1,
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        """Load a model; a `ModelFileError` without one, or of a file that is damaged or not ours.

        A `UsageError` where there is no such file, the provider asked for cannot run here, or the
        model cannot do what is asked.

        Args:
            model: a model file; where None, the newest `*.onnx` under `models/`, else the model
                that ships in the package.
            provider: `auto`, `tensorrt`, `cuda`, `openvino` or `cpu`.
            batch_size: images per batch, at least 1. A GPU always computes whole batches: use 1
                for single images there.
            face: which face a prediction is about: `main`, `left`, `largest`, `best`, or `all`.
            min_score: least score of a face; None for the model's own.
            threshold: least probability that counts as a properly worn mask; None for the model's
                own.
            canvas: side in pixels of what the network sees of a photo, a multiple of 32, for models
                that read any: larger ones find smaller faces. None for the model's own.
            max_pixels: images with more pixels are refused. Pillow has a limit of its own, which
                the command line raises: see `maskinfer.data.images.MAX_PIXELS`.
            threads: CPU threads of the network; None for one a core.
            streams: batches that are computed at the same time and share those threads.
            provider_options: onnxruntime's own for a GPU's provider, or OpenVINO's, by name.
        """
        self.max_pixels = max_pixels
        path = resolve_model(None if model is None else Path(model))
        try:
            self.session = Session(
                path,
                provider,
                batch_size,
                threads=threads,
                streams=streams,
                canvas=canvas,
                provider_options=provider_options,
            )
        except ModelFileError as error:
            if model is not None or not path.is_relative_to(EXPORTS):
                raise
            raise ModelFileError(
                f"{error} (the newest under {EXPORTS}/; choose another with --model FILE)"
            ) from error
        self.choice = Choice.of(self.session.metadata, face, min_score, threshold)
        self._given = (min_score, threshold)

    @overload
    def __call__(self, images: ImageSource) -> Prediction | None: ...

    @overload
    def __call__(
        self, images: list[AnyImage] | tuple[AnyImage, ...]
    ) -> list[Prediction | None]: ...

    def __call__(
        self, images: ImageSource | list[AnyImage] | tuple[AnyImage, ...]
    ) -> Prediction | list[Prediction | None] | None:
        """Predict one face of one image, or of each of a list or tuple of images.

        An image is a path, the bytes of a file, a Pillow image, or a (H, W, 3) or (H, W) uint8 RGB
        array. Returns one prediction for one image, a list in the same order for a list; None for
        an image in which no face scores enough. Where `face` is `all`, the best one. An
        `ImageError` names an image that cannot be read.
        """
        sources = images if isinstance(images, list | tuple) else [images]
        predicted = self._predict(sources, self.choice)
        best = (faces[0] if faces else None for faces in predicted)
        return list(best) if sources is images else next(best)

    def faces(self, images: Sequence[ImageSource]) -> list[list[Prediction]]:
        """Predict every face of each image, the best first, whatever `face` is.

        A `UsageError` where the model finds one face a photo; an `ImageError` names an image that
        cannot be read.
        """
        choice = Choice.of(self.session.metadata, "all", *self._given)
        return [list(faces) for faces in self._predict(images, choice)]

    def stream(self, paths: Iterable[str | os.PathLike[str]]) -> Generator[Result, None, None]:
        """Predict images one after the other, decoding ahead in threads, in bounded memory.

        Paths are taken only as fast as they are predicted. An image that cannot be read is a
        failure with its reason among the results, and does not end the others.
        """
        return predict_images(self, lambda name: name, (os.fspath(path) for path in paths))

    def make_canvas(self, source: ImageSource) -> tuple[Pixels, Placement]:
        """Decode an image and draw it on the canvas that this model reads, (S, S, 3) uint8 RGB.

        With it, where the photo lies on it. An `ImageError` says why an image cannot be read.
        """
        geometry = self.session.geometry
        photo = load_photo(source, partial(decode_wh, geometry), self.max_pixels)
        return place(photo, geometry)

    def predict_canvases(
        self,
        canvases: Sequence[Pixels] | Pixels,
        placements: Sequence[Placement],
        choice: Choice | None = None,
    ) -> list[tuple[Prediction, ...] | None]:
        """Predict up to `batch_size` canvases that `make_canvas` drew: the faces asked for of each.

        None is of a canvas for which the model's output is not finite; a `choice` of None is the
        detector's own.
        """
        if not len(canvases):
            return []
        outputs = self.session.run(np.asarray(canvases))  # (N, S, S, 3)
        choice = choice or self.choice
        return [
            self._read(boxes, proper_mask, score, placement, choice)
            for boxes, proper_mask, score, placement in zip(*outputs, placements, strict=True)
        ]

    def _read(
        self,
        boxes_xywh: NDArray[np.float32],
        proper_mask: NDArray[np.float32],
        score: NDArray[np.float32],
        placement: Placement,
        choice: Choice,
    ) -> tuple[Prediction, ...] | None:
        """One image's numbers, (K, 4), (K,) and (K,), as the faces asked for."""
        shares = np.stack([proper_mask, score])
        if not (np.isfinite(boxes_xywh).all() and ((shares >= 0) & (shares <= 1)).all()):
            return None
        chosen = choose(boxes_xywh, score, choice, self.session.geometry.canvas)
        boxes = canvas_to_image(boxes_xywh[chosen], [placement] * len(chosen))
        return tuple(
            Prediction(
                _to_whole_pixels(box, placement.size_wh),
                probability >= choice.threshold,
                probability,
                float(score[index]),
            )
            for index, box, probability in zip(
                chosen, boxes, proper_mask[chosen].tolist(), strict=True
            )
        )

    def _predict(
        self, images: Sequence[ImageSource], choice: Choice
    ) -> Iterator[tuple[Prediction, ...]]:
        size = self.session.batch_size
        for start in range(0, len(images), size):
            names, drawn = [], []
            for index, source in enumerate(images[start : start + size], start):
                names.append(_name(source, index))
                try:
                    drawn.append(self.make_canvas(source))
                except ImageError as error:
                    raise ImageError(f"{names[-1]}: {error}") from error
            canvases, placements = zip(*drawn, strict=True)
            predicted = self.predict_canvases(canvases, placements, choice)
            for name, faces in zip(names, predicted, strict=True):
                if faces is None:
                    raise ImageError(f"{name}: {NOT_FINITE}")
                yield faces


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
