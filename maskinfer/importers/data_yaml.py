"""What a YOLO data set says of itself: class names, splits, and whether rows carry key points.

`data.yaml` says all; of other YAML files, those nearer to the source's folder come first. Lists of
class names, `classes.txt` and the like, hold a name a line.
"""

import re
from typing import Any

from maskinfer.errors import AnnotationError

from .annotations import SPLIT_WORDS, Split, read_text
from .source import Source

_CLASS_LISTS = ("classes.txt", "_darknet.labels", "predefined_classes.txt", "obj.names")


def read_class_names(source: Source) -> dict[int, str]:
    """Read the class names of a YOLO folder, by number.

    From the first YAML file with `names:`, or else from a list, in which a blank line keeps its
    number; empty where there is none. An `AnnotationError` where they are there and cannot be read,
    or two lists differ.
    """
    for name in _yaml_files(source):
        text = read_text(source.path(name))
        key = re.search(r"^['\"]?names['\"]?\s*:(?=\s|$)", text, re.MULTILINE)
        if key is None:
            continue
        try:
            (names,) = (node for word, node in _entries(text) if word == "names")
            return _names_of(names)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, key.start()) + 1
            raise AnnotationError(
                f"{source.path(name)}:{line}: class names cannot be read, expected names: [a, b] "
                "or a name a line. Write them into classes.txt, one a line, and remove them here"
            ) from error
    return _read_class_lists(source)


def is_class_list(name: str) -> bool:
    """Whether a file is a list of class names, by its own name."""
    base = name.rpartition("/")[2].lower()
    return base in _CLASS_LISTS or base.endswith(".names")


def _read_class_lists(source: Source) -> dict[int, str]:
    """The lists agree, or one goes on where another ends, as labelling tools write them."""
    longest, where = dict[int, str](), ""
    files = filter(is_class_list, source.files(".txt", ".labels", ".names", everywhere=True))
    for name in sorted(files, key=_depth):
        lines = [line.strip() for line in read_text(source.path(name)).splitlines()]
        names = {number: line for number, line in enumerate(lines) if line}
        if any(longest.get(number, line) != line for number, line in names.items()):
            raise AnnotationError(
                f"{source.path(name)}: its class names differ from those of {where}. Keep one list"
            )
        if not longest or len(names) > len(longest):
            longest, where = names, name
    return longest


def read_yaml_splits(source: Source) -> tuple[str, dict[Split, list[tuple[str, str]]]] | None:
    """The file's name, and for each split the `path:` and the folders or lists named; else None."""
    for name in _yaml_files(source):
        try:
            entries = dict(_entries(read_text(source.path(name))))
        except (AnnotationError, ValueError, RecursionError):
            continue  # where it has class names, reading those says what is wrong
        base = "".join(_scalars(entries.get("path"))[:1])
        splits: dict[Split, list[tuple[str, str]]] = {}
        for word, split in SPLIT_WORDS.items():
            if values := _scalars(entries.get(word)):
                splits[split] = [(base, value) for value in values]
        if splits:
            return name, splits
    return None


def read_key_points(source: Source) -> int | None:
    """How many numbers follow the class in rows with key points, by `kpt_shape`; None without."""
    shape = r"^kpt_shape\s*:\s*\[\s*(\d{1,3})\s*,\s*([23])\s*\]"
    for name in _yaml_files(source):
        if found := re.search(shape, read_text(source.path(name)), re.MULTILINE):
            return 4 + int(found[1]) * int(found[2])
    return None


def _yaml_files(source: Source) -> list[str]:
    return sorted(source.files(".yaml", ".yml", everywhere=True), key=_depth)


def _depth(name: str) -> tuple[int, bool, str]:
    return name.count("/"), not re.search(r"(^|/)data(set)?\.ya?ml$", name.lower()), name


def _entries(text: str) -> list[tuple[str, Any]]:
    """The keys of a YAML map and the nodes of their values; a `ValueError` where it is none."""
    import yaml

    # Composed and never constructed: nothing in the file becomes an object.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root: Any = yaml.compose(text, loader)
    except yaml.YAMLError as error:
        raise ValueError("not YAML") from error
    if root is None or root.id != "mapping":
        raise ValueError("not a map")
    return [(key.value, node) for key, node in root.value if key.id == "scalar"]


def _scalars(node: Any) -> list[str]:
    """The words of a scalar or of a list of them; of anything else, and of null, none."""
    if node is None or node.tag.endswith(":null"):
        return []
    if node.id == "scalar":
        return [node.value]
    return [item.value for item in node.value if getattr(item, "id", "") == "scalar"]


def _names_of(node: Any) -> dict[int, str]:
    """The names of a composed list or map; a `ValueError` where it holds other things, or none."""
    if node.tag == "tag:yaml.org,2002:seq":
        pairs = list(enumerate(node.value))
    elif node.tag == "tag:yaml.org,2002:map":
        pairs = [(int(key.value), item) for key, item in node.value if len(key.value) < 10]
    else:
        pairs = []
    names = {number: item.value for number, item in pairs if item.value}
    plain = all(item.id == "scalar" for _, item in pairs)
    if not names or not plain or not len(names) == len(pairs) == len(node.value):
        raise ValueError(f"not a list of names: {node.tag}")
    return names
