"""What is saved of predicted photos: the photos with faces drawn on them, and the faces alone."""

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath

from PIL import Image

from maskinfer.data.folders import IMAGE_SUFFIXES, Failure
from maskinfer.data.images import ImageSource, load_photo
from maskinfer.data.labels import BoxXywh
from maskinfer.data.patience import read_patiently
from maskinfer.data.sources import Source
from maskinfer.errors import DatasetError, ImageError, MaskinferError
from maskinfer.files import LONGEST_NAME, replacing

from .choosing import Kind, face_kinds, photo_kinds
from .drawing import draw_on
from .results import KeptPrediction, Prediction, Result

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_JPEG_QUALITY = 90
_MARGIN = 0.2  # around a face that is saved alone: of its longer side, on every side of it


@dataclass(frozen=True)
class Pictures:
    """What to save of each photo, as JPEGs under the photos' own names."""

    # The folder for photos with their faces drawn on; None for no such photos.
    annotate: Path | None
    crops: Path | None  # the folder for faces alone; likewise
    only: tuple[Kind, ...]  # kinds of photos to draw, and of faces to save; all where empty
    threshold: float  # least probability that counts as a properly worn mask
    max_pixels: int  # photos of more pixels are not decoded
    _renamed: dict[PurePosixPath, dict[str, str]] = field(default_factory=dict)  # by folder

    def save(self, photos: Source, result: Result) -> Result:
        """Save what is wanted of a photo; nothing of a failure, or of one that was kept.

        The result comes back, as a failure where the photo has become unreadable since.
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
            source, photo = read_patiently(load, partial(photos.is_reachable, result.filename))
            if self.crops is not None:  # before the photo is drawn on
                for number, face in faces.items():
                    path = self.crops / self._inside(photos, result.filename, f"-{number}")
                    _save(photo.crop(_around(face, photo.size)), path, source, "--crops")
            if draws and self.annotate is not None:
                draw_on(photo, result.faces)
                path = self.annotate / self._inside(photos, result.filename)
                _save(photo, path, source, "--annotate")
        except ImageError as error:
            return Failure(result.filename, f"cannot be drawn on, {error}")
        return result

    def _wants(self, kinds: frozenset[Kind]) -> bool:
        return not self.only or not kinds.isdisjoint(self.only)

    def _inside(self, photos: Source, filename: str, added: str = "") -> PurePosixPath:
        """Where a photo's picture goes in a folder, whatever the photo's name, even with `..`."""
        path = PurePosixPath(filename)
        if path.parent not in self._renamed:
            names: list[str] = []
            with suppress(OSError, DatasetError):  # where names cannot be listed, none is disputed
                names = photos.beside(filename)
            self._renamed[path.parent] = _rename(names)
        name = self._renamed[path.parent].get(path.name) or _as_jpeg(path.name)
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        if len(os.fsencode(name + added)) > LONGEST_NAME:
            added = f"-{sha256(os.fsencode(path.name)).hexdigest()[:8]}{added}"
            room = LONGEST_NAME - len(added + suffix)
            stem = os.fsencode(stem)[:room].decode("utf-8", "ignore")
        folders = ("__" if part == ".." else part for part in path.parts[:-1] if part != path.root)
        return PurePosixPath(*folders, f"{stem}{added}{suffix}")


def _save(picture: Image.Image, path: Path, source: ImageSource, option: str) -> None:
    try:
        if isinstance(source, str | Path) and path.exists() and path.samefile(source):
            raise MaskinferError(f"{path}: is the photo itself; choose another {option} DIR")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            picture.save(beside, "JPEG", quality=_JPEG_QUALITY)
    except OSError as error:
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


def _as_jpeg(name: str) -> str:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    return name if suffix.lower() in _JPEG_SUFFIXES else f"{stem}.jpg"


def _rename(names: Iterable[str]) -> dict[str, str]:
    """The pictures of a folder's photos that would take another's name; JPEGs keep their own."""
    photos = [name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    wanted = Counter(map(_as_jpeg, photos))
    longer = {name: f"{name}.jpg" for name in photos if wanted[_as_jpeg(name)] > 1}
    return {
        name: f"{name}.{sha256(os.fsencode(name)).hexdigest()[:8]}.jpg"
        if picture in wanted
        else picture
        for name, picture in longer.items()
        if name != _as_jpeg(name)
    }
