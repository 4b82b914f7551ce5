"""Which photos of an annotated source are for training and which for testing.

The source's own word counts, the first that there is of: `data.yaml`, lists of names (`train.txt`,
VOC's `ImageSets/Main`), folders of the names `train`, `val` and `test`. Where it names no test
part, some photos are held out.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from maskinfer.data.duplicates import Hashes, find_copies, join_copies, perceptual_hash
from maskinfer.data.images import load_photo
from maskinfer.errors import ImageError
from maskinfer.text import counted
from maskinfer.threads import Progress, map_ahead

from .annotations import AnnotatedImage, Skipped, Split, read_text, split_in
from .data_yaml import read_yaml_splits
from .source import Source, stem_of

_ORDER: tuple[Split, ...] = ("train", "val", "test")
# VOC's lists of one class: a name, and whether the class is in it, not, or hard to see.
_FLAGGED = re.compile(r"(.+?)\s+(?:\+?1|-1|0)")
# What services append to the copies that they derive from one photo.
_DERIVED = re.compile(
    r"(\.rf\.[0-9A-Za-z]+|[-_ .]+(aug(mented)?|flip(ped)?|mirror(ed)?|rot(ated)?|copy)[-_.]?\d*)+$",
    re.IGNORECASE,
)


def assign_splits(
    images: list[AnnotatedImage], source: Source, fraction: float, on_progress: Progress
) -> tuple[list[AnnotatedImage], list[Skipped], bool]:
    """Give every photo the split `train` or `test`.

    A validation part joins training where there is a test part, else it is the test part. Where the
    source names no test part, a `fraction` of the photos is drawn to test on; `on_progress` is told
    how many photos were compared with the others, and their total.

    Returns the photos, each in `train` or `test`; what is left out, where the source names splits;
    and whether the test set was drawn here. The source gets notes.
    """
    if named := _named_splits(source):
        images = [replace(image, split=named.get(image.source)) for image in images]
    skipped = source.in_vain
    counts = Counter(image.split for image in images)
    if counts.pop(None, 0) and counts:
        why = "in no split that the source names"
        skipped += [Skipped(image.source, why) for image in images if image.split is None]
        images = [image for image in images if image.split is not None]
    if counts.keys() <= {"train"}:
        return _hold_out(images, source, fraction, on_progress), skipped, True
    val_is: Literal["train", "test"] = "train" if counts["test"] else "test"
    if counts["val"]:
        photos = ", ".join(f"{split} {counts[split]}" for split in _ORDER if counts[split])
        what = "joins train" if counts["test"] else "is the test part"
        source.notes.append(f"{source.root} names the splits {photos}: val {what}")
    images = [replace(i, split=val_is) if i.split == "val" else i for i in images]
    return images, skipped, False


def _named_splits(source: Source) -> dict[str, Split]:
    """The split of each photo that `data.yaml` or lists name; empty where there is neither."""
    if (named := read_yaml_splits(source)) is not None:
        name, values = named
        wanted = [
            (split, f"{name}: {split} is {value!r}", [*_places(name, base, value)])
            for split, paths in values.items()
            for base, value in paths
        ]
        if photos := _resolve(source, wanted):
            return photos
    return _resolve(source, [(split, name, [name]) for name, split in _find_lists(source)])


def _find_lists(source: Source) -> list[tuple[str, Split]]:
    """Lists of names in the uppermost folder, else of VOC's `Main`, else any; a class's last."""
    found: dict[tuple[int, str], list[tuple[str, Split]]] = {}
    for name in source.files(".txt", everywhere=True):
        folder, _, base = f"/{name}".rpartition("/")
        word = base[:-4].lower()
        whole = split_in([word])
        split = whole or split_in([word.rpartition("_")[2]])
        if split is None or (whole is None and not folder.lower().endswith("/main")):
            continue
        if not source.pair(name):
            rank = 0 if not folder else 1 if folder.lower().endswith("/main") else 2
            found.setdefault((rank, "" if whole else "of a class"), []).append((name, split))
    return found[min(found)] if found else []


def _resolve(source: Source, wanted: list[tuple[Split, str, list[str]]]) -> dict[str, Split]:
    """The photos of each split's lists and folders; those of several belong to the last.

    Wanted are splits, what names each, and where its list or folder may lie.
    """
    texts = {name.casefold(): name for name in source.files(".txt", everywhere=True)}
    members: dict[Split, set[str]] = {}
    for split, what, places in wanted:
        photos: set[str] | None = None
        for place in map(str.casefold, places):
            if place in texts:
                photos = _read_list(source, texts[place], split)
            else:
                inside = f"{place}/" if place else ""
                photos = {i for i in source.images if i.casefold().startswith(inside)} or None
            if photos is not None:
                members.setdefault(split, set()).update(photos)
                break
        else:
            source.notes.append(f"{what}, and no photo is there")
    for split in ("val", "test"):
        if members.get("train") and members.get(split) == members["train"]:
            source.notes.append(f"{split} names the same photos as train, so it is no split")
            del members[split]
    return {photo: split for split in _ORDER for photo in members.get(split, ())}


def _places(where: str, base: str, value: str) -> Iterator[str]:
    """Where a folder or list that `data.yaml` names may lie: from that file, or from the source.

    `path:` (here `base`) and absolute paths begin outside the source as often as not: what they
    begin with is left off part by part. `..` is left off too.
    """
    words = value.replace("\\", "/")
    absolute = bool(re.match(r"/|[A-Za-z]:", words))
    outer = [] if absolute else _parts(base)
    parts = [*outer, *_parts(words)]
    most = len(parts) - 1 if absolute else len(outer)
    for folder in dict.fromkeys((where.rpartition("/")[0], "")):
        for start in range(max(most, 0) + 1):
            yield "/".join([*filter(None, [folder]), *parts[start:]])


def _parts(path: str) -> list[str]:
    parts = path.replace("\\", "/").split("/")
    return [part for part in parts if part.strip(".") and "*" not in part]


def _read_list(source: Source, name: str, split: Split) -> set[str]:
    photos: set[str] = set()
    vain: dict[str, list[str]] = {}
    for line in read_text(source.path(name), is_list=True).splitlines():
        if not (word := line.strip()):
            continue
        matches = source.find_all(word, name, split)
        if not matches and (flagged := _FLAGGED.fullmatch(word)):
            matches = source.find_all(flagged[1], name, split)
        if len({image.rpartition("/")[0] for image in matches}) == 1:
            photos.update(matches)
        else:
            vain.setdefault("several images" if matches else "no image here", []).append(word)
    for what, words in vain.items():
        why = f"{counted(len(words), 'name')} of {what}, the first: {words[0][:100]!r}"
        source.in_vain.append(Skipped(name, why))
        source.notes.append(f"{name}: {why}")
    return photos


def _hold_out(
    images: list[AnnotatedImage], source: Source, fraction: float, on_progress: Progress
) -> list[AnnotatedImage]:
    """Draw the test set by hashes of paths: the same photos each time, on every machine.

    Copies stay together, each group drawn by its first path, and more than half of the photos are
    never held out as one group. Of two photos with faces that are no copies, one is held out.
    """
    drawn = [image for image in images if image.faces]
    groups = _groups(drawn, source, on_progress)

    def draw(group: list[AnnotatedImage]) -> float:  # range [0, 1)
        name = group[0].source.encode(errors="surrogateescape")
        return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48

    groups.sort(key=lambda group: (len(group) * 2 > len(drawn), draw(group)))
    if len(groups) == 1 and len(drawn) > 1:
        source.notes.append("all photos are copies of one, so that none is held out")
    held = {
        image.source
        for number, group in enumerate(groups[:-1])
        if number == 0 or draw(group) < fraction
        for image in group
    }
    return [replace(i, split="test" if i.source in held else "train") for i in images]


def _groups(
    images: list[AnnotatedImage], source: Source, on_progress: Progress
) -> list[list[AnnotatedImage]]:
    """Photos that are copies of each other, by their names or by how they look."""
    origins: dict[str, int] = {}
    by_name = []
    for place, image in enumerate(images):
        folder, _, base = image.source.rpartition("/")
        origin = f"{folder}/{_DERIVED.sub('', stem_of(base))}"
        by_name.append(origins.setdefault(origin, place))
    hashes: dict[int, Hashes] = {}  # of the photos that can be decoded
    for place, found in enumerate(map_ahead(_hash, images)):
        on_progress(place, len(images))
        if found is not None:
            hashes[place] = found
    places = list(hashes)
    copies = find_copies(np.array(list(hashes.values()))) if hashes else []
    by_look = join_copies(by_name, ([places[number] for number in some] for some in copies))
    if len(set(by_look)) == 1 < len(set(by_name)):
        source.notes.append("all photos look alike, so copies are told by their names alone")
        by_look = by_name
    groups: dict[int, list[AnnotatedImage]] = {}
    for place in places:
        groups.setdefault(by_look[place], []).append(images[place])
    return list(groups.values())


def _hash(image: AnnotatedImage) -> Hashes | None:
    try:
        photo = load_photo(image.path, lambda size_wh: (224, 224))  # enough for a hash
    except ImageError:
        return None  # listed when it is to be written
    return perceptual_hash(photo.image)
