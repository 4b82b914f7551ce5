"""From a labelled data set to the annotations of another tool: what `maskinfer export-labels` does.

Each face has one of four classes, which the readers know: `with_mask`, `mask_weared_incorrect`,
`without_mask`, and `improper` where it is not known which of the last two.
"""

import json
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from maskinfer.data.cleaning import Decision
from maskinfer.data.dataset import Dataset
from maskinfer.data.images import image_size
from maskinfer.data.labels import Face, parse_name
from maskinfer.errors import DatasetError
from maskinfer.files import check_folder, refuse_inside, replacing_folder

Tool = Literal["voc", "yolo", "coco"]
_CLASSES = ("without_mask", "with_mask", "mask_weared_incorrect", "improper")


@dataclass(frozen=True)
class LabelsSettings:
    """The data set, the folder to make of it, and whose format that has."""

    data: Path
    out: Path
    to: Tool


class _Photo(NamedTuple):
    """An image as the other tool sees it."""

    path: Path
    name: str  # of its copy, unique in the data set
    split: str  # `train`, `test`, or the folder's own name
    size_wh: tuple[int, int]  # of the upright image in pixels
    faces: tuple[Face, ...]


_Files = Iterator[tuple[str, str]]  # path in the folder, and text


def export_labels(settings: LabelsSettings) -> tuple[Counter[str], list[Decision]]:
    """Copy a data set's images beside annotations of all its known faces.

    Images that are labelled without a box are copied without a face, to be annotated. Returns how
    many images each split has, and each image that was left out. A `UsageError` where there is no
    such data set, or the place is taken or inside it; a `DatasetError` where the data set has no
    labelled image, or the folder cannot be written.
    """
    out, dataset = settings.out, Dataset.open(settings.data)
    refuse_inside(out, settings.data, "which holds the images. Choose another folder")
    check_folder(out, overwrite=False)
    photos, left_out = _read(dataset)
    try:
        with replacing_folder(out.resolve()) as folder:
            for photo in photos:
                copy = folder / "images" / photo.split / photo.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(photo.path, copy)
            for name, text in {"voc": _voc, "yolo": _yolo, "coco": _coco}[settings.to](photos):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written, {error.strerror or error}") from error
    return Counter(photo.split for photo in photos), left_out


def _read(dataset: Dataset) -> tuple[list[_Photo], list[Decision]]:
    samples, decisions, unlabelled = dataset.samples("test")
    others = dataset.other_faces
    names = [dataset.name_of(sample.path) for sample in samples]
    sources = Counter(dataset.sources.get(name, "") for name in names)
    taken: set[str] = set()
    photos = []
    for sample, name in zip(samples, names, strict=True):
        source = dataset.sources.get(name, "")
        # The photo's own name where this is the whole of it, so that it is known again.
        stem = PurePosixPath(source).stem if source and sources[source] == 1 else ""
        stem = stem or parse_name(sample.path.name).id
        numbered = (f"{stem}{f'-{n}' if n > 1 else ''}{sample.path.suffix}" for n in count(1))
        copy = next(copy for copy in numbered if copy.casefold() not in taken)
        taken.add(copy.casefold())
        split = next(its for its, folder in dataset.splits.items() if folder in sample.path.parents)
        faces = (sample.faces[0], *others.get(name, ())) if dataset.has_box(name) else ()
        photos.append(_Photo(sample.path, copy, split, image_size(sample.path), faces))
    return photos, [d for d in decisions if d.action == "dropped"] + unlabelled


def _class_of(face: Face) -> str:
    if face.proper_mask:
        return "with_mask"
    named = {True: "mask_weared_incorrect", False: "without_mask", None: "improper"}
    return named[face.worn_incorrectly]


def _voc(photos: Sequence[_Photo]) -> _Files:
    for photo in photos:
        root = ET.Element("annotation")
        ET.SubElement(root, "filename").text = photo.name
        _add(root, "size", width=photo.size_wh[0], height=photo.size_wh[1], depth=3)
        for face in photo.faces:
            x, y, w, h = face.box_xywh
            item = ET.SubElement(root, "object")
            ET.SubElement(item, "name").text = _class_of(face)
            _add(item, "bndbox", xmin=x, ymin=y, xmax=x + w, ymax=y + h)
        ET.indent(root)
        name = Path("annotations", photo.split, photo.name).with_suffix(".xml")
        yield str(name), ET.tostring(root, "utf-8").decode()


def _add(parent: ET.Element, tag: str, **numbers: int) -> None:
    element = ET.SubElement(parent, tag)
    for key, number in numbers.items():
        ET.SubElement(element, key).text = str(number)


def _yolo(photos: Sequence[_Photo]) -> _Files:
    for photo in photos:
        width, height = photo.size_wh
        lines = []
        for face in photo.faces:
            x, y, w, h = face.box_xywh
            shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            numbers = " ".join(f"{share:.8f}" for share in shares)
            lines.append(f"{_CLASSES.index(_class_of(face))} {numbers}\n")
        yield str(Path("labels", photo.split, photo.name).with_suffix(".txt")), "".join(lines)
    splits = dict.fromkeys(photo.split for photo in photos)
    parts = "".join(f"{split}: images/{split}\n" for split in splits)
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(_CLASSES))
    yield "data.yaml", f"path: .\n{parts}names:\n{names}"


def _coco(photos: Sequence[_Photo]) -> _Files:
    categories = [{"id": number, "name": name} for number, name in enumerate(_CLASSES, start=1)]
    for split in dict.fromkeys(photo.split for photo in photos):
        of_split = list(enumerate((p for p in photos if p.split == split), start=1))
        images = [
            {"id": number, "file_name": p.name, "width": p.size_wh[0], "height": p.size_wh[1]}
            for number, p in of_split
        ]
        faces = ((image_id, face) for image_id, photo in of_split for face in photo.faces)
        annotations = [
            {
                "id": number,
                "image_id": image_id,
                "category_id": _CLASSES.index(_class_of(face)) + 1,
                "bbox": list(face.box_xywh),
                "area": face.box_xywh[2] * face.box_xywh[3],
                "iscrowd": 0,
            }
            for number, (image_id, face) in enumerate(faces, start=1)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        yield f"annotations/instances_{split}.json", json.dumps(content, indent=1) + "\n"
