"""Labels without boxes: folders named by classes, or CSV files with a photo and its class."""

from functools import partial

from .annotations import AnnotatedFace, Skipped, split_in, split_of
from .csv_boxes import read_file
from .source import Items, Source, read_each

_WHOLE = (0.0, 0.0, 1.0, 1.0)  # in fractions of the photo
_NO_CLASS = {"images", "jpegimages", "photos", "data"}


def read_classes(source: Source) -> Items:
    """Read the classes of whole photos; each is one face that fills its photo.

    CSV files with the columns `filename` and `class` say them; where there is no such file, the
    innermost folder does whose name is no split's (`with_mask/train/a.jpg`).
    """
    if files := source.files(".csv"):
        return read_each(source, files, partial(read_file, columns=(), boxes=False))
    return _read_folders(source)


def _read_folders(source: Source) -> Items:
    for image in source.images:
        folders = image.split("/")[:-1]
        classes = [f for f in folders if not split_in([f]) and f.lower() not in _NO_CLASS]
        if not classes:
            yield Skipped(image, "in no folder named by a class, expected with_mask/ or the like")
        else:
            face = AnnotatedFace(_WHOLE, classes[-1])
            yield from source.describe(image, image, [face], split=split_of(image), unit=1)
