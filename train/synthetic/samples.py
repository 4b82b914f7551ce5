"""Draws labelled photos: people with masks worn properly, worn wrongly, and not at all.

The label is computed from the geometry that is drawn, so it is exact. `Scene` says what is in an
image; `draw_scene` paints it. Needs numpy and Pillow only.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from maskinfer.data.folders import list_images
from maskinfer.data.labels import BoxXywh, Face, Label, format_name, label_of
from maskinfer.data.side_lists import OTHER_FACES, write_face_notes, write_other_faces
from maskinfer.errors import UsageError
from maskinfer.files import replacing
from maskinfer.threads import Progress, unheard

from .face import draw_person
from .paint import Canvas, Pose
from .person import CoverKind, Person, face_bounds_xyxy, random_person
from .photo import develop, draw_background

MIN_SIZE_PX = 64
_SUPERSAMPLING = 2
# A name alone does not tell: real photos are labelled in the same way.
_MARK = b"drawn by maskinfer synth"


@dataclass(frozen=True)
class SynthSettings:
    """What `maskinfer synth` draws."""

    count: int = 100  # images
    seed: int = 0  # draws the same images each time; image i does not depend on the count
    size_px: int = 224  # the images' longer side
    overwrite: bool = False  # whether what was drawn into the folder before is replaced


@dataclass(frozen=True)
class Scene:
    """What is in one image."""

    size_wh: tuple[int, int]  # pixels
    person: Person  # the labelled one, whose face is the left-most
    neighbour: Person | None  # to the right
    light: tuple[float, float, float]  # towards the light; x right, y down, z to the viewer
    ambient: float  # 0..1, brightness of what faces away from the light
    paint_seed: int  # of the background and the camera
    jpeg_quality: int  # 1..100

    @property
    def face(self) -> Face:
        """The labelled face, its box in whole pixels and inside the image."""
        left, top, right, bottom = face_bounds_xyxy(self.person)
        x, y = max(0, round(left)), max(0, round(top))
        width, height = self.size_wh
        box = (x, y, min(width, round(right)) - x, min(height, round(bottom)) - y)
        return _covered(box, self.person)

    @property
    def other_face(self) -> Face | None:
        """The neighbour's face, of which some may lie outside the image."""
        if self.neighbour is None:
            return None
        left, top, right, bottom = map(round, face_bounds_xyxy(self.neighbour))
        return _covered((left, top, right - left, bottom - top), self.neighbour)


def _covered(box_xywh: BoxXywh, person: Person) -> Face:
    kind = person.cover.kind
    if kind is CoverKind.PROPER:
        return Face(box_xywh, True)
    return Face(box_xywh, False, kind in (CoverKind.UNDER_NOSE, CoverKind.UNDER_CHIN))


def random_scene(seed: int, index: int, size_px: int) -> Scene:
    """Decide what is in image `index` of the data set `seed`; `size_px` is its longer side."""
    rng = np.random.default_rng((seed, index))
    aspect = float(np.exp(rng.normal(0, 0.22)))
    longer, shorter = size_px, max(MIN_SIZE_PX * 2 // 3, round(size_px / max(aspect, 1 / aspect)))
    size_wh = (longer, shorter) if aspect >= 1 else (shorter, longer)
    fraction = np.exp(np.clip(rng.normal(np.log(0.36), 0.42), np.log(0.12), np.log(0.75)))
    crowded = rng.random() < 0.22 and fraction < 0.55
    person = random_person(rng, _random_pose(rng, fraction * min(size_wh)))
    person = _placed(rng, person, size_wh, crowded)
    azimuth, height = rng.normal(0, 0.7), rng.normal(-0.35, 0.3)
    light = np.array([np.sin(azimuth), height, np.cos(azimuth)])
    x, y, z = (light / np.linalg.norm(light)).tolist()
    return Scene(
        size_wh=size_wh,
        person=person,
        neighbour=_random_neighbour(rng, person, size_wh) if crowded else None,
        light=(x, y, z),
        ambient=float(rng.uniform(0.35, 0.75)),
        paint_seed=int(rng.integers(2**32)),
        jpeg_quality=int(rng.integers(50, 96)),
    )


def draw_scene(scene: Scene) -> Image.Image:
    """Paint a scene; returns an RGB image of the scene's size."""
    rng = np.random.default_rng(scene.paint_seed)
    large_wh = (scene.size_wh[0] * _SUPERSAMPLING, scene.size_wh[1] * _SUPERSAMPLING)
    large = draw_background(rng, scene.size_wh).resize(large_wh, Image.Resampling.BILINEAR)
    for person in (scene.neighbour, scene.person):
        if person is not None:
            pose = person.pose.scaled(_SUPERSAMPLING)
            draw_person(Canvas(large, scene.light, scene.ambient, pose), person)
    return develop(rng, large.reduce(_SUPERSAMPLING))


def write_samples(folder: Path, settings: SynthSettings, on_progress: Progress = unheard) -> None:
    """Write labelled JPEGs into a folder, which is made where it is missing.

    Neighbours' faces are listed in `other_faces.csv` among the images, and how masks are worn in
    `face_notes.csv`. `overwrite` replaces what was drawn into the folder before, marked by its JPEG
    comment: those images go when the new ones are written, no other file does. A `UsageError`
    where the folder holds images otherwise, or labelled ones from elsewhere, or cannot be made.
    """
    earlier = _prepare(folder, settings.overwrite)
    drawn, other_faces = list[tuple[str, Face]](), list[tuple[str, Face]]()
    for index in range(settings.count):
        scene = random_scene(settings.seed, index, settings.size_px)
        face = scene.face
        name = format_name(Label(f"{index:06d}", face.box_xywh, face.proper_mask))
        with replacing(folder / name) as beside:
            draw_scene(scene).save(beside, "JPEG", quality=scene.jpeg_quality, comment=_MARK)
        earlier.discard(name)
        drawn.append((name, face))
        if scene.other_face is not None:
            other_faces.append((name, scene.other_face))
        on_progress(index + 1, settings.count)
    write_other_faces(folder, other_faces)
    write_face_notes(folder, [*drawn, *other_faces])
    for name in earlier:
        (folder / name).unlink()


def _prepare(folder: Path, overwrite: bool) -> set[str]:
    """Make the folder; return the names of the images in it that may be replaced."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be made a folder, {error.strerror}. Name another folder"
        ) from error
    images = list_images(folder, recursive=False)
    if (folder / OTHER_FACES).exists() and not images:
        raise UsageError(f"{folder / OTHER_FACES}: is of other images. Name another folder")
    if images and not overwrite:
        raise UsageError(
            f"{folder}: holds images already, {len(images)} of them, expected none. "
            "Name another folder, or add --overwrite to replace what synth drew"
        )
    labelled = [name for name in images if label_of(name)]
    others = [name for name in labelled if not _is_drawn(folder / name)]
    if others:
        raise UsageError(
            f"{folder}: holds {len(others)} labelled images that synth did not draw, the first: "
            f"{others[0]}. Name another folder"
        )
    return set(labelled)


def _is_drawn(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.info.get("comment") == _MARK
    except Exception:  # decoders raise whatever a damaged file leads them to
        return False


def _random_pose(rng: np.random.Generator, height_px: float) -> Pose:
    """A head at the origin; `_placed` moves it."""
    roll = np.clip(rng.normal(0, 9), -25, 25) if rng.random() < 0.7 else rng.uniform(-25, 25)
    return Pose(
        centre_xy=(0.0, 0.0),
        unit_px=float(height_px) / 2,
        half_width=float(rng.uniform(0.7, 0.86)),
        jaw=float(rng.uniform(1.9, 3.0)),
        yaw=float(np.radians(np.clip(rng.normal(0, 18), -42, 42))),
        pitch=float(np.radians(np.clip(rng.normal(0, 7), -15, 15))),
        roll=float(np.radians(roll)),
    )


def _placed(
    rng: np.random.Generator, person: Person, size_wh: tuple[int, int], leave_right: bool
) -> Person:
    """Move a person so that the face is inside the image, sometimes right at its border."""
    left, top, right, bottom = face_bounds_xyxy(person)
    room_x, room_y = size_wh[0] - (right - left), size_wh[1] - (bottom - top)
    across, down = rng.uniform(0, 1), rng.beta(1.6, 2.2)
    if rng.random() < 0.12:
        across, down = rng.choice([(0.0, down), (1.0, down), (across, 0.0), (across, 1.0)])
    if leave_right:
        across *= 0.45
    centre = (float(across * room_x - left), float(down * room_y - top))
    return replace(person, pose=replace(person.pose, centre_xy=centre))


def _random_neighbour(
    rng: np.random.Generator, person: Person, size_wh: tuple[int, int]
) -> Person | None:
    """A person to the right, on about the same height; None where there is no room."""
    _, top, right, bottom = face_bounds_xyxy(person)
    height_px = (bottom - top) * float(np.exp(rng.normal(0, 0.25)))
    other = random_person(rng, _random_pose(rng, height_px))
    o_left, o_top, o_right, o_bottom = face_bounds_xyxy(other)
    room = size_wh[0] - right - 0.6 * (o_right - o_left)
    if room <= 0:
        return None
    start = right + rng.uniform(0, 1) * room
    drop = (top + bottom) / 2 + rng.normal(0, 0.35) * (bottom - top)
    centre = (float(start - o_left), float(drop - (o_top + o_bottom) / 2))
    return replace(other, pose=replace(other.pose, centre_xy=centre))
