"""What is saved of predicted photos: the photos with faces drawn on them, and the faces alone."""

import errno
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from maskinfer.data.folders import Failure
from maskinfer.data.images import ImageSource, load_photo
from maskinfer.data.labels import BoxXywh
from maskinfer.data.patience import read_patiently
from maskinfer.data.sources import Source
from maskinfer.errors import ImageError, MaskinferError
from maskinfer.files import replacing

from .choosing import Kind, face_kinds, photo_kinds
from .drawing import draw_on
from .results import KeptPrediction, Prediction, Result

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_JPEG_QUALITY = 90
_MARGIN = 0.2  # around a face that is saved alone: of its longer side, on every side of it


@dataclass(frozen=True)
class Pictures:
    """What to save of each photo, as JPEGs under the photos' own names.

    Attributes:
        annotate: the folder for photos with their faces drawn on; None for no such photos.
        crops: the folder for faces alone; likewise.
        only: kinds of photos to draw, and of faces to save; all where empty.
        threshold: least probability that counts as a properly worn mask.
        max_pixels: photos of more pixels are not decoded.
    """

    annotate: Path | None
    crops: Path | None
    only: tuple[Kind, ...]
    threshold: float
    max_pixels: int

    def save(self, photos: Source, result: Result) -> Result:
        """Save what is wanted of a photo; nothing of a failure, or of one that was kept.

        Returns:
            the result; a failure where the photo has become unreadable since it was predicted.

        Raises:
            MaskinferError: a picture cannot be written.
        """
        if isinstance(result, Failure | KeptPrediction):
            return result
        draws = self.annotate is not None and self._wants(photo_kinds(result.faces, self.threshold))
        faces = {
            number: face
            for number, face in enumerate(result.faces, 1)
            if self.crops is not None and self._wants(face_kinds(face, self.threshold))
        }
        if not draws and not faces:
            return result

        def load() -> tuple[ImageSource, Image.Image]:
            source = photos.image(result.filename)
            return source, load_photo(source, max_pixels=self.max_pixels).image

        try:
            source, photo = read_patiently(load, photos.is_reachable)
            if self.crops is not None:  # before the photo is drawn on
                for number, face in faces.items():
                    path = self.crops / _inside(result.filename, f"-{number}")
                    _save(photo.crop(_around(face, photo.size)), path, source, "--crops")
            if draws and self.annotate is not None:
                draw_on(photo, result.faces)
                path = self.annotate / _inside(result.filename)
                _save(photo, path, source, "--annotate")
        except ImageError as error:
            return Failure(result.filename, f"cannot be drawn on, {error}")
        return result

    def _wants(self, kinds: frozenset[Kind]) -> bool:
        return not self.only or not kinds.isdisjoint(self.only)


def _save(picture: Image.Image, path: Path, source: ImageSource, option: str) -> None:
    try:
        if isinstance(source, str | Path) and path.exists() and path.samefile(source):
            raise MaskinferError(f"{path}: is the photo itself; choose another {option} DIR")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            picture.save(beside, "JPEG", quality=_JPEG_QUALITY)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # the photo's name, with what is added to it
            raise ImageError(error.strerror) from error
        raise MaskinferError(f"{path}: cannot be written, {error.strerror or error}") from error


def _around(face: Prediction, photo_wh: tuple[int, int]) -> BoxXywh:
    """Left, top, right and bottom of a face with a margin, inside the photo."""
    x, y, w, h = face.box_xywh
    margin = round(_MARGIN * max(w, h))
    return (
        max(0, x - margin),
        max(0, y - margin),
        min(photo_wh[0], x + w + margin),
        min(photo_wh[1], y + h + margin),
    )


def _inside(filename: str, added: str = "") -> PurePosixPath:
    """Where a photo's picture goes in a folder, whatever the photo's name, even one with `..`."""
    path = PurePosixPath(filename)
    parts = ["__" if part == ".." else part for part in path.parts if part != path.root]
    name, suffix = parts[-1], path.suffix
    if suffix.lower() in _JPEG_SUFFIXES:
        parts[-1] = f"{name.removesuffix(suffix)}{added}{suffix}"
    else:
        parts[-1] = f"{name}{added}.jpg"
    return PurePosixPath(*parts)
