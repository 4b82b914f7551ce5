"""From a labelled data set to the annotations of another tool: what `maskinfer export-labels` does.

Each face has one of four classes, which the readers know: `with_mask`, `mask_weared_incorrect`,
`without_mask`, and `improper` where it is not known which of the last two.
"""

import json
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

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
    """What to write, and where.

    Attributes:
        data: the data set.
        out: the folder to make.
        to: whose format.
    """

    data: Path
    out: Path
    to: Tool


@dataclass(frozen=True)
class LabelledPhoto:
    """An image as the other tool sees it.

    Attributes:
        path: the image.
        name: of its copy, unique in the data set.
        split: `train`, `test`, or the folder's own name.
        size_wh: of the upright image in pixels.
        faces: boxes in pixels of the upright image.
    """

    path: Path
    name: str
    split: str
    size_wh: tuple[int, int]
    faces: tuple[Face, ...]


def export_labels(settings: LabelsSettings) -> tuple[Counter[str], list[Decision]]:
    """Copy a data set's images beside annotations of all its known faces.

    Images that are labelled without a box are copied without a face, to be annotated.

    Returns:
        how many images each split has, and each image that was left out.

    Raises:
        UsageError: there is no such data set, or the place is taken or inside it.
        DatasetError: the data set has no labelled image, or the folder cannot be written.
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
            _WRITERS[settings.to](folder, photos)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written, {error.strerror or error}") from error
    return Counter(photo.split for photo in photos), left_out


def _read(dataset: Dataset) -> tuple[list[LabelledPhoto], list[Decision]]:
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
        copy = f"{stem}{sample.path.suffix}"
        number = 1
        while copy.casefold() in taken:
            number += 1
            copy = f"{stem}-{number}{sample.path.suffix}"
        taken.add(copy.casefold())
        split = next(its for its, folder in dataset.splits.items() if folder in sample.path.parents)
        faces = (sample.faces[0], *others.get(name, ())) if dataset.has_box(name) else ()
        photos.append(LabelledPhoto(sample.path, copy, split, image_size(sample.path), faces))
    return photos, [d for d in decisions if d.action == "dropped"] + unlabelled


def _class_of(face: Face) -> str:
    if face.proper_mask:
        return "with_mask"
    named = {True: "mask_weared_incorrect", False: "without_mask", None: "improper"}
    return named[face.worn_incorrectly]


def _write_voc(folder: Path, photos: Sequence[LabelledPhoto]) -> None:
    for photo in photos:
        root = ET.Element("annotation")
        ET.SubElement(root, "filename").text = photo.name
        size = ET.SubElement(root, "size")
        for key, value in zip(("width", "height", "depth"), (*photo.size_wh, 3), strict=True):
            ET.SubElement(size, key).text = str(value)
        for face in photo.faces:
            x, y, w, h = face.box_xywh
            item = ET.SubElement(root, "object")
            ET.SubElement(item, "name").text = _class_of(face)
            box = ET.SubElement(item, "bndbox")
            edges = {"xmin": x, "ymin": y, "xmax": x + w, "ymax": y + h}
            for key, value in edges.items():
                ET.SubElement(box, key).text = str(value)
        path = folder / "annotations" / photo.split / Path(photo.name).with_suffix(".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        ET.indent(root)
        ET.ElementTree(root).write(path, encoding="utf-8")


def _write_yolo(folder: Path, photos: Sequence[LabelledPhoto]) -> None:
    for photo in photos:
        width, height = photo.size_wh
        lines = []
        for face in photo.faces:
            x, y, w, h = face.box_xywh
            shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            numbers = " ".join(f"{share:.8f}" for share in shares)
            lines.append(f"{_CLASSES.index(_class_of(face))} {numbers}\n")
        path = folder / "labels" / photo.split / Path(photo.name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    splits = dict.fromkeys(photo.split for photo in photos)
    parts = "".join(f"{split}: images/{split}\n" for split in splits)
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(_CLASSES))
    (folder / "data.yaml").write_text(f"path: .\n{parts}names:\n{names}", encoding="utf-8")


def _write_coco(folder: Path, photos: Sequence[LabelledPhoto]) -> None:
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": name} for number, name in enumerate(_CLASSES, start=1)]
    for split in dict.fromkeys(photo.split for photo in photos):
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for image_id, photo in enumerate((p for p in photos if p.split == split), start=1):
            width, height = photo.size_wh
            images.append(
                {"id": image_id, "file_name": photo.name, "width": width, "height": height}
            )
            for face in photo.faces:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": _CLASSES.index(_class_of(face)) + 1,
                        "bbox": list(face.box_xywh),
                        "area": face.box_xywh[2] * face.box_xywh[3],
                        "iscrowd": 0,
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = folder / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


_WRITERS: dict[Tool, Callable[[Path, Sequence[LabelledPhoto]], None]] = {
    "voc": _write_voc,
    "yolo": _write_yolo,
    "coco": _write_coco,
}
