"""Which tool's annotations a folder looks like, and how those that are not read are converted."""

import re
import shlex
from typing import Literal, get_args

from maskinfer.errors import AnnotationError

from .class_names import is_usual
from .source import Source

_HEAD = 200_000  # bytes of a file that are looked at
_FILES = 40  # of each kind

# By what begins a file of such an ending; the first that fits.
_MARKS = (
    ("voc", ".xml", r"<annotation[\s>](?!.*<polygon)"),
    ("cvat", ".xml", r"<annotations[\s>]"),
    ("LabelMe", ".json", r'"shapes"\s*:.*"imagePath"|"imagePath"\s*:.*"shapes"|"shape_type"'),
    ("VGG Image Annotator (VIA)", ".json", r'"shape_attributes"|"_via_'),
    ("CreateML", ".json", r'^\s*\[.*"coordinates"'),
    ("labelstudio", ".json", r'"rectanglelabels"|^\s*\[.*"(file_upload|was_cancelled|data)"'),
    ("coco", ".json", r'^\s*\{.*"(images|annotations|categories)"\s*:\s*\['),
    ("Hugging Face's metadata.jsonl", ".jsonl", r'"file_name"'),
    ("csv", ".csv", r"(?i)\A[^\n]*(file|image|img|path)[^\n]*(xmin|x_min|x1|left|[,;\t]x\b)"),
    ("classes", ".csv", r"(?i)\A[^\n]*(file|image|img|path)[^\n]*(label|class|category)"),
    ("darknet's _annotations.txt", ".txt", r"^\S.*\.\w{3,4}( \d+,\d+,\d+,\d+,\d+)+\s*$"),
    ("WIDER FACE", ".txt", r"^\S+\.\w{3,4}\s*\n\s*\d+\s*\n\s*\d+( \d+){3}"),
    ("yolo", ".txt", r"^\s*\d+(\s+-?[\d.]+(e-?\d+)?){4,}\s*$"),
)
Layout = Literal["voc", "yolo", "coco", "csv", "cvat", "labelstudio", "classes", "auto"]
READ = get_args(Layout)[:-1]
_CORNERS = "--columns filename,class,xmin,ymin,xmax,ymax"
_SIDES = "--columns filename,class,x,y,w,h"
# Each ends in lines for `import csv`; jq and awk are in every distribution.
_CONVERTERS = {
    "LabelMe": (
        "jq -r '.imagePath as $f | .shapes[] | [$f, .label, ([.points[][0]]|min), "
        "([.points[][1]]|min), ([.points[][0]]|max), ([.points[][1]]|max)] | @csv' {src}/*.json",
        _CORNERS,
    ),
    "VGG Image Annotator (VIA)": (
        "jq -r '(._via_img_metadata // .)[] | .filename as $f | .regions[] | [$f, "
        "(.region_attributes|[.[]][0]), (.shape_attributes|.x,.y,.width,.height)] | @csv' {file}",
        _SIDES,
    ),
    "CreateML": (
        "jq -r '.[] | .image as $f | .annotations[] | .coordinates as $c | [$f, .label, "
        "$c.x-$c.width/2, $c.y-$c.height/2, $c.width, $c.height] | @csv' {file}",
        _SIDES,
    ),
    "Hugging Face's metadata.jsonl": (
        "jq -r '.file_name as $f | .objects as $o | range($o.bbox|length) as $i | [$f, "
        "($o.categories // $o.category)[$i]] + $o.bbox[$i] | @csv' {file}",
        _SIDES,
    ),
    "darknet's _annotations.txt": (
        "awk '{{for (i = 2; i <= NF; i++) print $1 \",\" $i}}' {file}",
        "--columns filename,xmin,ymin,xmax,ymax,class",
    ),
    "WIDER FACE": (
        "awk -v OFS=, 'NF == 1 && /[.]/ {{f = $1}} NF > 4 {{print f, 1, $1, $2, $3, $4}}' {file}",
        _SIDES,
    ),
}


def recognise(source: Source) -> dict[str, str]:
    """The formats that files of a source look like, each with the first such file."""
    found: dict[str, str] = {}
    for suffix in dict.fromkeys(suffix for _, suffix, _ in _MARKS):
        names = source.files(suffix)
        likely = [name for name in names[_FILES:] if "annot" in name.lower()]
        for name in names[:_FILES] + likely:
            try:
                with source.path(name).open("rb") as file:
                    head = file.read(_HEAD).decode(errors="replace")
            except OSError:
                continue
            flags = re.MULTILINE if suffix == ".txt" else re.DOTALL
            for kind, ending, mark in _MARKS:
                if ending == suffix and re.search(mark, head, flags):
                    found.setdefault(kind, name)
                    break
    if not found:
        for image in source.images:
            if any(is_usual(folder) for folder in image.split("/")[:-1]):
                return {"classes": image}
    return found


def describe(source: Source, found: dict[str, str]) -> str:
    """Say what a source looks like, with the command for it; empty where nothing is known."""
    readable = [kind for kind in found if kind in READ]
    src = shlex.quote(str(source.root))
    if readable:
        commands = " or ".join(f"maskinfer import {kind} {src} --out DIR" for kind in readable)
        return f"It looks like {' and '.join(readable)}: {commands}"
    if not found:
        return ""
    kind, name = next(iter(found.items()))
    command, columns = _CONVERTERS[kind]
    filled = command.format(src=src, file=shlex.quote(str(source.path(name))))
    return (
        f"It looks like {kind}, which is converted by: {filled} > faces.csv; maskinfer import "
        f"csv {src} --labels faces.csv {columns} --out DIR"
    )


def choose_format(source: Source) -> str:
    """The one format of ours that a source looks like; an `AnnotationError` for several or none."""
    found = recognise(source)
    readable = [kind for kind in found if kind in READ]
    if len(readable) == 1:
        return readable[0]
    why = describe(source, found) or f"no annotations that maskinfer knows: {', '.join(READ)}"
    raise AnnotationError(f"{source.root}: {why}")
