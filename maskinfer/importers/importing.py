"""Turn another tool's annotations into a labelled data set: `train/`, `test/`, and five lists.

| file              | says                                                            |
| ----------------- | --------------------------------------------------------------- |
| `sources.csv`     | which photo each image came from: `filename,source`             |
| `other_faces.csv` | the faces its name leaves out: `filename,x,y,w,h,proper_mask`   |
| `face_notes.csv`  | faces without a mask, masks worn wrongly: `filename,x,y,w,h,note` |
| `repaired.csv`    | which boxes reached past the photo: `filename,reason`           |
| `skipped.csv`     | which photos, faces and files were left out: `source,reason`    |

`filename` is relative to the data set, `source` to the source folder; both are printable. The data
set is built beside its place and moved there when it is complete.
"""

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from maskinfer.data.folders import IMAGE_SUFFIXES, below
from maskinfer.data.images import load_photo, smallest
from maskinfer.data.labels import BoxXywh, Face, Label, format_name
from maskinfer.data.side_lists import (
    FACE_NOTES,
    OTHER_FACES,
    SOURCES,
    SOURCES_COLUMNS,
    FaceNote,
    write_face_notes,
    write_list,
    write_other_faces,
)
from maskinfer.errors import AnnotationError, DatasetError, ImageError, UsageError
from maskinfer.files import check_folder, refuse_inside, replacing_folder
from maskinfer.threads import Progress, unheard

from .annotations import AnnotatedImage, Skipped
from .class_names import class_labels, fold, is_worn_incorrectly
from .classes import read_classes
from .coco import read_coco
from .crops import choose_face, crop_around, fit_box, in_fractions, neighbours, straighten
from .csv_boxes import read_csv
from .cvat import read_cvat
from .formats import Layout, choose_format, describe, recognise
from .labelstudio import read_labelstudio
from .source import Items, NoFormatError, Source
from .splits import assign_splits
from .voc import read_voc
from .yolo import read_yolo

FaceChoice = Literal["left", "largest", "each"]
_Crop = tuple[int, int, int, int]  # left, top, right, bottom

_READERS: dict[str, Callable[[Source], Items]] = {
    "voc": read_voc,
    "yolo": read_yolo,
    "coco": read_coco,
    "cvat": read_cvat,
    "labelstudio": read_labelstudio,
    "classes": read_classes,
}

_REPAIRED, _SKIPPED = "repaired.csv", "skipped.csv"


@dataclass(frozen=True)
class ImportSettings:
    """What to import, and how."""

    layout: Layout  # the tool's format; `auto` takes the one that the source looks like
    src: Path  # the folder that holds photos and annotations
    out: Path  # the data set to make
    # Which face is labelled: the left-most or the largest of each photo, the photo kept whole; or
    # each, cropped so that it is the left-most in its crop where that can be.
    face: FaceChoice = "left"
    test_fraction: float = 0.15  # of the photos, 0..1, to test on where the source names no split
    min_face: int = 12  # for crops, the least length in pixels of a face's shorter side
    proper: tuple[str, ...] = ()  # further class names that mean a properly worn mask
    improper: tuple[str, ...] = ()  # further class names that mean any other face
    ignore: tuple[str, ...] = ()  # class names whose boxes are passed over
    labels: Path | None = None  # the folder or file of the annotations, where they lie apart
    columns: tuple[str, ...] = ()  # of CSV files, what their columns are, where no header says
    follow_links: bool = False  # whether files count that are links to outside of the source
    overwrite: bool = False  # whether an earlier import in `out` may be replaced


@dataclass
class ImportReport:
    """What an import made."""

    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)  # images by split and label
    repaired: list[tuple[str, str]] = field(default_factory=list)  # name, reason of clipped boxes
    skipped: list[Skipped] = field(default_factory=list)  # what was left out
    held_out: bool = False  # whether the test set was drawn here, as the source names no split
    layout: str = ""  # the format that was read
    notes: list[str] = field(default_factory=list)  # what else is to be said, one line each

    @property
    def shortcomings(self) -> list[str]:
        """What keeps the data set from being of use: an empty split, or labels of one kind."""
        splits, labels = ({key[place] for key in self.counts} for place in (0, 1))
        empty = [f"{split}/ is empty" for split in ("train", "test") if split not in splits]
        return empty + [f"every label is {label}" for label in labels if len(labels) == 1]

    @property
    def unreadable(self) -> int:
        """How many photos could not be read."""
        return sum(item.unreadable for item in self.skipped)


@dataclass(frozen=True, kw_only=True)
class _Candidate(Face):
    """A face that can be labelled, its box inside the photo, and what was wrong with that box."""

    repair: str
    swapped: str | None

    def moved(self, crop_xyxy: _Crop) -> Face:
        """The face in pixels of a crop of the photo."""
        return Face(_moved(self.box_xywh, crop_xyxy), self.proper_mask, self.worn_incorrectly)


def import_annotations(settings: ImportSettings, on_progress: Progress = unheard) -> ImportReport:
    """Make a labelled data set.

    A `UsageError` where the source is no folder, or the place for the data set is taken, also where
    `overwrite` is given and the folder holds a file that no import made; an `AnnotationError` where
    a class has no label, or nothing could be imported; a `DatasetError` where it cannot be written.
    """
    label_of = class_labels(settings.proper, settings.improper, settings.ignore)
    _check_places(settings)
    report = ImportReport()
    source = Source(settings.src, settings.labels, follow_links=settings.follow_links)
    images = _read(settings, source, label_of, report, on_progress)
    try:
        with replacing_folder(settings.out.resolve()) as folder:
            for split in ("train", "test"):
                (folder / split).mkdir()
            writer = _Writer(folder, settings, label_of, report)
            for done, image in enumerate(images):
                on_progress(done, len(images))
                writer.write(image)
            on_progress(len(images), len(images))
            if not writer.sources:
                raise AnnotationError(_nothing_imported(source, report))
            write_list(folder / SOURCES, SOURCES_COLUMNS, writer.sources)
            write_other_faces(folder, writer.other_faces)
            write_face_notes(folder, writer.noted_faces, writer.notes)
            write_list(folder / _REPAIRED, ("filename", "reason"), report.repaired)
            skipped = ((item.source, item.reason) for item in report.skipped)
            write_list(folder / _SKIPPED, ("source", "reason"), skipped)
    except OSError as error:
        raise DatasetError(
            f"{settings.out}: cannot be written, {error.strerror or error}"
        ) from error
    return report


def _nothing_imported(source: Source, report: ImportReport) -> str:
    why = "the annotations name no photo"
    if report.skipped:
        first = f"{report.skipped[0].source}: {report.skipped[0].reason}"
        why = f"{len(report.skipped)} photos or faces were left out, the first: {first}"
    found = recognise(source)
    hint = "" if report.layout in found else describe(source, found)
    return f"{source.root}: nothing could be imported; {why}{hint and f'. {hint}'}"


def _check_places(settings: ImportSettings) -> None:
    src, out = settings.src, settings.out
    if not src.is_dir():
        raise UsageError(f"{src}: {'not a folder' if src.exists() else 'no such folder'}")
    if not 0 < settings.test_fraction < 1:
        raise UsageError(
            f"test fraction: got {settings.test_fraction}, expected more than 0, less than 1"
        )
    if settings.labels is not None:
        if not settings.labels.exists():
            raise UsageError(f"{settings.labels}: no such folder or file")
        refuse_inside(out, settings.labels, "which holds the annotations. Choose another --out")
    refuse_inside(out, src, "which holds the photos to import. Choose another --out")
    refuse_inside(src, out, "so that --out holds the photos to import. Choose another --out")
    check_folder(out, overwrite=settings.overwrite)
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / SOURCES).is_file():
        raise UsageError(
            f"{out}: has no {SOURCES}, so no import made it and --overwrite leaves it alone. "
            "Choose another --out"
        )
    if others := _list_others(out):
        raise UsageError(
            f"{out}: holds {len(others)} files that no import made, the first: {others[0]}; "
            "move them"
        )


def _list_others(out: Path) -> list[str]:
    """The files of an earlier import's folder that its lists do not name."""
    made = {SOURCES, OTHER_FACES, FACE_NOTES, _REPAIRED, _SKIPPED}
    # A list that is damaged names fewer files, so that fewer may go.
    with suppress(csv.Error), (out / SOURCES).open(newline="", errors="replace") as file:
        made.update(str(row.get("filename")) for row in csv.DictReader(file))
    return sorted({path.relative_to(out).as_posix() for path in below(out)} - made)


def _read(
    settings: ImportSettings,
    source: Source,
    label_of: dict[str, bool | None],
    report: ImportReport,
    on_progress: Progress,
) -> list[AnnotatedImage]:
    """Read all annotations first, so that a class without a label is known before work begins."""
    images: list[AnnotatedImage] = []
    unknown: Counter[str] = Counter()
    report.layout, report.notes = settings.layout, source.notes
    if settings.layout == "auto":
        report.layout = choose_format(source)
        source.notes.append(f"{settings.src}: read as {report.layout}")
    read = _READERS.get(report.layout, partial(read_csv, columns=settings.columns))
    try:
        for item in read(source):
            if isinstance(item, Skipped):
                report.skipped.append(item)
                continue
            images.append(item)
            unknown.update(f.class_name for f in item.faces if fold(f.class_name) not in label_of)
    except NoFormatError as error:
        hint = describe(source, recognise(source))
        raise AnnotationError(f"{error}{hint and f'. {hint}'}") from error
    if unknown:
        names = ", ".join(f"{name!r} ({count} boxes)" for name, count in unknown.most_common(8))
        raise AnnotationError(
            f"{settings.src}: unknown class {names}. Say what each means with --proper NAME, "
            "--improper NAME or --ignore NAME"
        )
    images.sort(key=lambda image: image.source)
    images, left_out, report.held_out = assign_splits(
        images, source, settings.test_fraction, on_progress
    )
    report.skipped += left_out
    return images


@dataclass
class _Writer:
    """Writes images into a data set's folder, and keeps the rows of its lists."""

    folder: Path
    settings: ImportSettings
    label_of: dict[str, bool | None]
    report: ImportReport
    sources: list[tuple[str, str]] = field(default_factory=list)
    other_faces: list[tuple[str, Face]] = field(default_factory=list)
    noted_faces: list[tuple[str, Face]] = field(default_factory=list)
    notes: list[tuple[str, BoxXywh, FaceNote]] = field(default_factory=list)

    def write(self, image: AnnotatedImage) -> None:
        """Write one photo's samples: one of the whole photo, or one a face."""
        whole = self.settings.face != "each"
        if all(face.crowd for face in image.faces):
            self._skip(image, "no face")
        faces = self._candidates(image)
        crowds = [
            box
            for face in image.faces
            if face.crowd and self.label_of[fold(face.class_name)] is not None
            if (box := fit_box(face.box_xywh, image.size_wh)[0])
        ]
        samples = self._samples(image, faces)
        if not samples:
            return
        # A photo that is upright already is copied. Decoding it in full is the proof that the file
        # is whole; a copy needs no pixels.
        suffix = image.path.suffix
        copied = whole and image.orientation == 1 and suffix.lower() in IMAGE_SUFFIXES
        try:
            pixels = load_photo(image.path, least_wh=smallest if copied else None).pixels
        except ImageError as error:
            self._skip(image, f"unreadable image: {error}", unreadable=True)
            return
        for face, crop_xyxy, near in samples:
            own = face.moved(crop_xyxy)
            label = Label(f"{len(self.sources):06d}", own.box_xywh, face.proper_mask)
            filename = f"{image.split}/{format_name(label, suffix if copied else '.jpg')}"
            if copied:
                shutil.copyfile(image.path, self.folder / filename)
            else:
                left, top, right, bottom = crop_xyxy
                picture = Image.fromarray(pixels[top:bottom, left:right])
                picture.save(self.folder / filename, quality=95)
            self.sources.append((filename, image.source))
            others = [
                (filename, other.moved(crop_xyxy))
                for other in near
                if _reaches_into(other.box_xywh, crop_xyxy)
            ]
            self.other_faces += others
            self.noted_faces += [(filename, own), *others]
            if self.report.layout == "classes":
                self.notes.append((filename, own.box_xywh, FaceNote.NO_BOX))
            self.notes += [
                (filename, _moved(crowd, crop_xyxy), FaceNote.CROWD)
                for crowd in crowds
                if _reaches_into(crowd, crop_xyxy)
            ]
            self.report.counts[str(image.split), face.proper_mask] += 1
            repairs = [face.repair, *(other.swapped for other in near if whole)]
            self.report.repaired += [(filename, repair) for repair in repairs if repair]

    def _candidates(self, image: AnnotatedImage) -> list[_Candidate]:
        """The faces of a photo that have a label and an area; the others are listed."""
        candidates = []
        for face in image.faces:
            label = self.label_of[fold(face.class_name)]
            straight, swapped = straighten(face.box_xywh)
            box, fault = fit_box(straight, image.size_wh)
            if label is None:
                self._skip(image, f"class {face.class_name!r} is ignored")
            elif face.crowd:
                self._skip(image, f"crowd {[round(v) for v in face.box_xywh]} is no face")
            elif self.report.layout not in ("yolo", "classes") and in_fractions(straight):
                text = ", ".join(f"{value:g}" for value in face.box_xywh)
                self._skip(image, f"box [{text}] is in fractions of the photo, expected pixels")
            elif box is None:
                self._skip(image, f"{fault}; nothing of it is in the image")
            else:
                incorrectly = None if label else is_worn_incorrectly(face.class_name)
                repair = "; ".join(filter(None, [swapped, fault]))
                found = _Candidate(box, label, incorrectly, repair=repair, swapped=swapped)
                candidates.append(found)
        return candidates

    def _samples(
        self, image: AnnotatedImage, faces: list[_Candidate]
    ) -> list[tuple[_Candidate, _Crop, list[_Candidate]]]:
        """The faces to label, each with its part of the photo and the others near it."""
        boxes = [face.box_xywh for face in faces]
        if self.settings.face != "each":
            chosen = [choose_face(boxes, self.settings.face)] if faces else []
            return [(faces[n], (0, 0, *image.size_wh), faces[:n] + faces[n + 1 :]) for n in chosen]
        samples = []
        array = np.array(boxes)
        for number, face in enumerate(faces):
            if min(face.box_xywh[2:]) < self.settings.min_face:
                box = list(face.box_xywh)
                self._skip(image, f"face {box} is smaller than {self.settings.min_face} pixels")
            else:
                near = neighbours(array, number)
                crop = crop_around(face.box_xywh, [boxes[n] for n in near], image.size_wh)
                samples.append((face, crop, [faces[n] for n in near]))
        return samples

    def _skip(self, image: AnnotatedImage, reason: str, *, unreadable: bool = False) -> None:
        self.report.skipped.append(Skipped(image.source, reason, unreadable))


def _moved(box_xywh: BoxXywh, crop_xyxy: _Crop) -> BoxXywh:
    x, y, w, h = box_xywh
    return x - crop_xyxy[0], y - crop_xyxy[1], w, h


def _reaches_into(box_xywh: BoxXywh, crop_xyxy: _Crop) -> bool:
    x, y, w, h = box_xywh
    left, top, right, bottom = crop_xyxy
    return x < right and x + w > left and y < bottom and y + h > top
