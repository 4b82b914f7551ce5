"""Data sets: labelled images in `train/` and `test/`, or in one folder, with their side lists."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from maskinfer.errors import DatasetError, LabelError, UsageError
from maskinfer.text import printable_name

from .cleaning import Decision, FaultKind, Mode, clean
from .folders import list_images
from .labels import BoxXywh, Face, Sample, parse_name
from .side_lists import FaceNote, FaceNotes, noted, read_face_notes, read_other_faces, read_sources

# The labelled images that a clone of the project holds: what is used where no data is named.
SAMPLE_IMAGES = Path("sample_images")
_T = TypeVar("_T")


class LabelledSamples(NamedTuple):
    """The labelled images of a data set after cleaning."""

    samples: list[Sample]  # those that can be used, split by split, sorted by name
    decisions: list[Decision]  # one for each labelled image that was dropped, repaired or rounded
    unlabelled: list[Decision]  # one for each image whose name carries no label that can be read


@dataclass(frozen=True)
class Dataset:
    """A data set's folder. Every image in it is named by its path from there.

    What needs a side list raises a `DatasetError` where the list is damaged.
    """

    path: Path
    split_names: tuple[str, ...] = ("train", "test")  # of the folders in it that are its splits

    @classmethod
    def open(cls, path: Path) -> Self:
        """A data set that the user named; a `UsageError` where there is no such folder."""
        if not path.is_dir():
            what = "not a folder, expected a data set" if path.exists() else "no such folder"
            raise UsageError(f"{path}: {what}")
        return cls(path)

    @cached_property
    def splits(self) -> dict[str, Path]:
        """The folders of its splits by name, those that it has; else its own."""
        folders = {name: self.path / name for name in self.split_names}
        splits = {name: folder for name, folder in folders.items() if folder.is_dir()}
        return splits or {printable_name(self.path.resolve().name): self.path}

    @property
    def is_divided(self) -> bool:
        """Whether it has any of its splits."""
        return not self.splits.keys().isdisjoint(self.split_names)

    def split(self, name: str) -> Path:
        """The folder of one split; a `DatasetError` where there is no such split."""
        folder = self.path / name
        if not folder.is_dir():
            what = f"no folder {name}/ in it" if self.path.is_dir() else "no such folder"
            raise DatasetError(f"{self.path}: {what}; a data set has train/ and test/")
        return folder

    def test_part(self) -> "Dataset":
        """What a model is measured on, named from there: `test/` if there is one, else all."""
        return Dataset(self.splits.get("test", self.path), split_names=())

    def name_of(self, path: Path) -> str:
        """An image as lists and pages name it: its path from the data set, with `/`, printable."""
        return printable_name(path.relative_to(self.path).as_posix())

    def samples(self, mode: Mode, split: str | None = None) -> LabelledSamples:
        """Read the labelled images of one split or of all, and clean them by a mode's rules.

        A `DatasetError` where there is no such split, or not one labelled image.
        """
        samples: list[Sample] = []
        unlabelled: list[Decision] = []
        rounded: list[Decision] = []
        folders = self.splits.values() if split is None else [self.split(split)]
        for path in (folder / name for folder in folders for name in list_images(folder)):
            name = self.name_of(path)
            try:
                label = parse_name(path.name)
            except LabelError as error:
                unlabelled.append(Decision(name, "dropped", FaultKind.NO_LABEL, str(error)))
                continue
            own = self._noted(name, Face(label.box_xywh, label.proper_mask))
            samples.append(Sample(path=path, **asdict(own)))
            if label.rounded:
                kind, box = FaultKind.FRACTIONS, label.box_xywh
                why = f"{kind}, rounded to {list(box)}"
                rounded.append(Decision(name, "rounded", kind, why, box))
        if not samples:
            count = len(unlabelled)
            hint = f"; the first of {count} images: {unlabelled[0].reason}" if count else ""
            raise DatasetError(f"{self.path / (split or '')}: no labelled image{hint}")
        kept, decisions = clean(samples, mode, self.name_of)
        return LabelledSamples(kept, rounded + decisions, unlabelled)

    @cached_property
    def sources(self) -> dict[str, str]:
        """The photo that each image was cut from, for those that a list names."""
        return self._listed(read_sources)

    def photo_of(self, path: Path) -> str:
        """The photo that an image was cut from, else the image itself."""
        return self.sources.get(self.name_of(path), str(path))

    @cached_property
    def other_faces(self) -> dict[str, tuple[Face, ...]]:
        """The faces besides the one in each image's name, for those that a list names."""
        listed = self._listed(read_other_faces)
        return {name: tuple(self._noted(name, f) for f in faces) for name, faces in listed.items()}

    @cached_property
    def face_notes(self) -> FaceNotes:
        """What lists note of faces, by image and box."""
        return self._listed(read_face_notes)

    def has_box(self, name: str) -> bool:
        """Whether an image is labelled with a face's box, not only as a whole."""
        return not any(FaceNote.NO_BOX in n for n in self.face_notes.get(name, {}).values())

    def crowds(self, name: str) -> tuple[BoxXywh, ...]:
        """The areas of an image with faces that nobody boxed one by one."""
        notes = self.face_notes.get(name, {})
        return tuple(box for box, found in notes.items() if FaceNote.CROWD in found)

    def _noted(self, name: str, face: Face) -> Face:
        return noted(face, self.face_notes.get(name, {}).get(face.box_xywh, frozenset()))

    def _listed(self, read: Callable[[Path], dict[str, _T]]) -> dict[str, _T]:
        """What the lists beside the splits and among their images hold; the latter prevail."""
        if self.path in self.splits.values():
            outer = f"{self.path.resolve().name}/"
            beside = read(self.path.resolve().parent).items()
            listed = {n.removeprefix(outer): value for n, value in beside if n.startswith(outer)}
            return listed | read(self.path)
        listed = read(self.path)
        for split, folder in self.splits.items():
            listed |= {f"{split}/{name}": value for name, value in read(folder).items()}
        return listed


def sample_images(command: str) -> Path:
    """The data set of a clone, for a command that was given no data.

    Where the current folder has none, a `UsageError` says by `command` how to name data.
    """
    if not SAMPLE_IMAGES.is_dir():
        raise UsageError(
            f"no data set named, and no {SAMPLE_IMAGES}/ in this folder. Name one: {command}"
        )
    return SAMPLE_IMAGES
