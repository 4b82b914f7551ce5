"""Labels without boxes: folders named by classes, or CSV files with a photo and its class."""

from functools import partial

from .annotations import AnnotatedFace, Skipped, split_in
from .csv_boxes import read_file
from .source import Items, Source, read_each

_NO_CLASS = {"images", "jpegimages", "photos", "data"}


def read_classes(source: Source) -> Items:
    """Read the classes of whole photos; each is one face that fills its photo.

    CSV files with the columns `filename` and `class` say them; where there is no such file, the
    innermost folder does whose name is no split's (`with_mask/train/a.jpg`).
    """
    if files := source.files(".csv"):
        yield from read_each(source, files, partial(read_file, boxes=False))
        return
    for image in source.images:
        folders = image.split("/")[:-1]
        classes = [f for f in folders if not split_in([f]) and f.lower() not in _NO_CLASS]
        if classes:
            face = AnnotatedFace((0, 0, 1, 1), classes[-1])
            yield from source.describe(image, image, [face], unit=1)
        else:
            yield Skipped(image, "in no folder named by a class, expected with_mask/ or the like")
