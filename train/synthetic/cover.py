"""What is before a mouth: masks worn properly and not, hands, cups, scarves."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image, ImageDraw

from .paint import Canvas, Points, Pose, Rgb, capsule, jitter, palette, smooth, tint


class CoverKind(StrEnum):
    """What covers the mouth; only `PROPER` is labelled True."""

    PROPER = "proper"
    NONE = "none"
    UNDER_NOSE = "under nose"
    UNDER_CHIN = "under chin"
    HAND = "hand"
    CUP = "cup"


_ODDS = {
    CoverKind.PROPER: 0.5,
    CoverKind.NONE: 0.175,
    CoverKind.UNDER_NOSE: 0.125,
    CoverKind.UNDER_CHIN: 0.1,
    CoverKind.HAND: 0.05,
    CoverKind.CUP: 0.05,
}
_MASKED = (CoverKind.PROPER, CoverKind.UNDER_NOSE, CoverKind.UNDER_CHIN)
MASK_COLOURS = palette("a6d0e8 80b8dc f6f6f4 242428 888a8e a0ceb8 f2bcc8 2c3860 aa3038 d6be96")
_COLOUR_ODDS = (0.22, 0.12, 0.2, 0.14, 0.08, 0.07, 0.06, 0.05, 0.03, 0.03)


@dataclass(frozen=True)
class Cover:
    """What covers the mouth.

    Attributes:
        kind: what, and how it is worn.
        style: of a mask: `surgical`, `cloth`, `cone` or `duckbill`.
        rgb: its colour in full light.
        pattern: `plain`, `stripes`, `dots` or `checks`.
        second_rgb: the pattern's other colour.
        valve: whether a mask has a valve.
        side: -1 or 1, from which side a hand or cup comes.
        top: the mask's upper edge in the middle of the face, in head units.
        side_top: the mask's upper edge at the cheeks, in head units.
        reach_deg: angle about the head that the mask's sides reach.
    """

    kind: CoverKind
    style: str
    rgb: Rgb
    pattern: str
    second_rgb: Rgb
    valve: bool
    side: int
    top: float
    side_top: float
    reach_deg: float


def random_cover(rng: np.random.Generator, skin: Rgb) -> Cover:
    """Draw what covers a mouth at random; half of the time a mask, worn properly."""
    kind = list(_ODDS)[rng.choice(len(_ODDS), p=list(_ODDS.values()))]
    rgb = MASK_COLOURS[rng.choice(len(MASK_COLOURS), p=_COLOUR_ODDS)]
    if rng.random() < 0.05:
        rgb = tint(skin, rng.uniform(0.85, 1.1))
    style = str(rng.choice(["surgical", "cloth", "cone", "duckbill"], p=[0.42, 0.3, 0.18, 0.1]))
    pattern_odds = [0.5, 0.16, 0.2, 0.14] if style == "cloth" else [0.97, 0.0, 0.03, 0.0]
    top, side_top = {
        CoverKind.UNDER_NOSE: (rng.uniform(0.39, 0.46), rng.uniform(0.3, 0.45)),
        CoverKind.UNDER_CHIN: (rng.uniform(0.76, 0.88), rng.uniform(0.48, 0.66)),
    }.get(kind, (rng.uniform(-0.03, 0.12), rng.uniform(0.08, 0.24)))
    return Cover(
        kind=kind,
        style=style,
        rgb=jitter(rng, rgb, 8),
        pattern=str(rng.choice(["plain", "stripes", "dots", "checks"], p=pattern_odds)),
        second_rgb=jitter(rng, MASK_COLOURS[rng.integers(len(MASK_COLOURS))], 20),
        valve=bool(style in ("cone", "cloth") and rng.random() < 0.3),
        side=int(rng.choice([-1, 1])),
        top=top,
        side_top=side_top,
        reach_deg=float(rng.uniform(60, 76)),
    )


def worn_outline(cover: Cover, pose: Pose) -> Points:
    """(N, 2) pixels, the outline of a mask on the face; (0, 2) where there is none on it."""
    if cover.kind in (CoverKind.PROPER, CoverKind.UNDER_NOSE):
        return _mask_outline(cover, pose)
    return np.empty((0, 2))


def draw_cover(
    canvas: Canvas,
    pose: Pose,
    cover: Cover,
    skin: Rgb,
    sleeve: Rgb,
    rng: np.random.Generator,
) -> None:
    """Paint what covers the mouth; the pose is in pixels of the canvas.

    Args:
        canvas: where to.
        pose: of the head.
        cover: what covers the mouth.
        skin: colour of a hand.
        sleeve: colour of a hand's sleeve.
        rng: draws creases and fingers.
    """
    if cover.kind in _MASKED:
        _draw_mask(canvas, pose, cover, rng)
    elif cover.kind is CoverKind.HAND:
        _draw_hand(canvas, pose, cover.side, skin, sleeve, rng)
    elif cover.kind is CoverKind.CUP:
        _draw_cup(canvas, pose, cover, skin, sleeve, rng)


def draw_scarf(canvas: Canvas, pose: Pose, rgb: Rgb) -> None:
    """Paint a scarf about the neck, pulled below the mouth."""
    a = pose.half_width
    half = [(0.0, 0.86), (0.6 * a, 0.78), (1.05 * a, 0.7), (1.25 * a, 1.2), (0.9 * a, 1.75)]
    cloth = [(-x, y) for x, y in reversed(half[1:])] + half + [(0.0, 1.9)]
    canvas.solid(smooth(pose.body(cloth)), rgb, pose)
    for y in (1.05, 1.25, 1.5):
        fold = pose.body([(-0.95 * a, y - 0.12), (-0.3 * a, y + 0.03), (0.9 * a, y - 0.05)])
        canvas.line(fold, tint(rgb, 0.72), 0.035 * pose.unit_px)


def _bulge(cover: Cover) -> float:
    """How far a mask's middle stands out to the front, in units."""
    return {"surgical": 0.1, "cloth": 0.1, "cone": 0.22, "duckbill": 0.28}[cover.style]


def _mask_outline(cover: Cover, pose: Pose) -> Points:
    """(N, 2) pixels: along the upper edge from left to right, back along the jaw."""
    reach, top, side = cover.reach_deg, cover.top, cover.side_top
    bulge = _bulge(cover)
    angles = np.array([-reach, -0.55 * reach, -14, 0, 14, 0.55 * reach, reach])
    middle = 0.45 * side + 0.55 * top
    if cover.kind is CoverKind.UNDER_CHIN:
        edge = pose.wrap(angles, [side, middle, top, top, top, middle, side], 1.04)
        a = pose.half_width
        below = [(0.8 * a, 0.95), (0.45 * a, 1.2), (0, 1.28), (-0.45 * a, 1.2), (-0.8 * a, 0.95)]
        return smooth(np.concatenate([edge, pose.body(below)]), 3)
    stands_out = bulge * np.array([0, 0.3, 0.5, 0.5, 0.5, 0.3, 0])
    edge = pose.wrap(angles, [side, middle, top, top, top, middle, side], 1.03, stands_out)
    jaw_angles = np.array([reach + 6, reach + 4, 60, 30, 0, -30, -60, -reach - 4, -reach - 6])
    jaw_y = [0.45, 0.68, 0.86, 0.97, 1.0, 0.97, 0.86, 0.68, 0.45]
    jaw = pose.wrap(jaw_angles, jaw_y, 1.06, 0.5 * bulge * np.cos(np.radians(jaw_angles)))
    return smooth(np.concatenate([edge, jaw]), 3)


def _draw_mask(canvas: Canvas, pose: Pose, cover: Cover, rng: np.random.Generator) -> None:
    unit = pose.unit_px
    _draw_straps(canvas, pose, cover)
    outline = _mask_outline(cover, pose)
    canvas.glaze(outline + np.array([0, 0.03 * unit]), (20, 14, 12), 0.35, 0.04 * unit)
    canvas.solid(outline, cover.rgb, pose, _fabric(cover))
    dark, light = tint(cover.rgb, 0.68), tint(cover.rgb, 0.6, (255, 255, 255))
    if cover.kind is CoverKind.UNDER_CHIN:
        for y in rng.uniform(0.95, 1.2, 3):
            crease = [
                (-0.5 * pose.half_width, y - 0.1),
                (0.1, y),
                (0.5 * pose.half_width, y - 0.08),
            ]
            canvas.line(pose.body(crease), dark, 0.022 * unit)
        return
    angles = np.linspace(-0.95, 0.95, 9) * cover.reach_deg
    level = 1 - (angles / cover.reach_deg) ** 2
    bumps = _bulge(cover) * level

    def across(y_middle: float, y_side: float) -> Points:
        return pose.wrap(angles, y_side + (y_middle - y_side) * level, 1.05, bumps)

    hem = across(cover.top + 0.05, cover.side_top + 0.05)
    canvas.line(hem, dark, 0.016 * unit)
    if cover.style == "surgical":
        for part in (0.3, 0.5, 0.7):
            y = cover.top + part * (1 - cover.top)
            fold = across(y, 0.3 * y + 0.7 * (cover.side_top + part * (0.7 - cover.side_top)))
            canvas.line(fold, dark, 0.024 * unit)
            canvas.line(fold + np.array([0, 0.025 * unit]), light, 0.016 * unit)
    elif cover.style == "duckbill":
        fold = across(0.55, 0.5)
        canvas.glaze(np.concatenate([fold, across(0.9, 0.75)[::-1]]), dark, 0.5, 0.02 * unit)
        canvas.line(fold, light, 0.03 * unit)
    elif cover.style == "cone" or rng.random() < 0.6:
        ys = np.linspace(cover.top, 1.0, 8)
        ridge = _bulge(cover) * np.sin(np.pi * (0.2 + 0.8 * (ys - cover.top) / (1 - cover.top)))
        seam = pose.wrap(0, ys, 1.05, ridge)
        side_px = np.array([0.03 * unit, 0])
        canvas.line(seam, dark, 0.02 * unit)
        canvas.glaze(
            np.concatenate([seam - side_px, seam[::-1] - 4 * side_px]), light, 0.4, 0.02 * unit
        )
    if cover.valve:
        y = 0.62
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        centre = 28.0 * cover.side
        rim = pose.wrap(
            centre + 11 * np.cos(turn), y + 0.13 * np.sin(turn), 1.06, 0.8 * _bulge(cover)
        )
        canvas.solid(rim, (222, 222, 220), pose)
        canvas.line(np.concatenate([rim, rim[:1]]), (120, 120, 124), 0.02 * unit)


def _draw_straps(canvas: Canvas, pose: Pose, cover: Cover) -> None:
    """Ear loops, or for a cone the two bands that go round the head."""
    rgb = (238, 238, 236) if cover.rgb[0] > 90 else cover.rgb
    width = 0.026 * pose.unit_px
    low = 0.6 if cover.kind is CoverKind.PROPER else 0.75
    start = cover.side_top + 0.04
    ends = (-0.25, 0.5) if cover.style in ("cone", "duckbill") else (-0.08, 0.2)
    for side in (-1, 1):
        for y_mask, y_head in zip((start, low), ends, strict=True):
            strap = pose.wrap(
                [side * (cover.reach_deg - 3), side * 84, side * 96],
                [y_mask, 0.4 * y_mask + 0.6 * y_head, y_head],
                1.02,
            )
            canvas.line(strap, rgb, width)


def _fabric(cover: Cover) -> Image.Image | None:
    """The mask's pattern as a picture, or None for a plain one."""
    if cover.pattern == "plain":
        return None
    picture = Image.new("RGB", (96, 72), cover.rgb)
    draw = ImageDraw.Draw(picture)
    if cover.pattern == "dots":
        for row, y in enumerate(range(5, 72, 12)):
            for x in range(4 + 7 * (row % 2), 96, 14):
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=cover.second_rgb)
        return picture
    for x in range(0, 96, 12):
        draw.rectangle((x, 0, x + 5, 72), fill=cover.second_rgb)
    if cover.pattern == "checks":
        both = tint(cover.rgb, 0.5, cover.second_rgb)
        for y in range(0, 72, 12):
            for x in range(0, 96, 6):
                rgb = tint(both, 0.8) if x % 12 == 0 else both
                draw.rectangle((x, y, x + 5, y + 5), fill=rgb)
    return picture


def _draw_hand(
    canvas: Canvas, pose: Pose, side: int, skin: Rgb, sleeve: Rgb, rng: np.random.Generator
) -> None:
    """A hand laid over the mouth, fingers to the far cheek, the arm coming from below."""
    unit = pose.unit_px
    rgb, edge = tint(skin, rng.uniform(0.88, 1.04)), tint(skin, 0.5)
    lean, high = rng.uniform(-0.05, 0.2), rng.uniform(0.3, 0.42)
    shift = 0.55 * pose.half_width * np.sin(pose.yaw)

    def place(points: list[tuple[float, float]]) -> Points:
        return pose.flat([(shift + side * x, y) for x, y in points])

    _draw_arm(canvas, pose, place([(0.75, 1.1), (1.5, 3.4)]), rgb, sleeve)
    palm = [(0.3, high - 0.08), (0.68, high + 0.05), (0.95, 1.0)]
    palm += [(0.85, 1.4), (0.45, 1.2), (0.28, 0.95)]
    canvas.solid(smooth(place(palm)), rgb, pose)
    for finger in (3, 2, 1, 0):
        y = high + 0.16 * finger
        reach = (-0.3, -0.42, -0.38, -0.22)[finger] + rng.uniform(-0.06, 0.06)
        ends = place([(0.5, y + 0.05), (reach, y - lean)])
        canvas.solid(capsule(ends[0], ends[1], 0.098 * unit), edge, pose)
        canvas.solid(capsule(ends[0], ends[1], 0.084 * unit), rgb, pose)
        nail = place([(reach + 0.03, y - lean), (reach - 0.02, y - lean)])
        canvas.solid(capsule(nail[0], nail[1], 0.04 * unit), tint(rgb, 0.75, (255, 225, 220)), pose)


def _draw_arm(canvas: Canvas, pose: Pose, wrist_elbow: Points, skin: Rgb, sleeve: Rgb) -> None:
    """A forearm, its lower part and the upper arm in a sleeve; (2, 2) pixels."""
    wrist, elbow = wrist_elbow
    unit = pose.unit_px
    middle = wrist + 0.4 * (elbow - wrist)
    canvas.solid(capsule(wrist, elbow, 0.25 * unit), skin, pose)
    canvas.solid(capsule(middle, elbow, 0.34 * unit), sleeve, pose)
    canvas.solid(capsule(elbow, elbow + np.array([0, 40 * unit]), 0.4 * unit), sleeve, pose)


def _draw_cup(
    canvas: Canvas, pose: Pose, cover: Cover, skin: Rgb, sleeve: Rgb, rng: np.random.Generator
) -> None:
    """A cup or mug held to the mouth, with the fingers that hold it."""
    unit, side = pose.unit_px, cover.side
    wide, tall, top = rng.uniform(0.3, 0.44), rng.uniform(0.65, 0.95), rng.uniform(0.4, 0.5)
    slim, tilt = rng.uniform(0.7, 1.0), rng.uniform(-0.12, 0.12)
    shift = 0.55 * pose.half_width * np.sin(pose.yaw)

    def place(points: list[tuple[float, float]]) -> Points:
        return pose.flat([(shift + x - tilt * (y - top), y + tilt * x) for x, y in points])

    def rim_at(y: float, half: float, depth: float) -> list[tuple[float, float]]:
        turn = np.linspace(0, np.pi, 9)
        return [(half * float(np.cos(t)), y + depth * float(np.sin(t))) for t in turn]

    base = rim_at(top + tall, wide * slim, 0.07)
    if rng.random() < 0.5:
        handle = place(
            [
                (side * wide, top + 0.15),
                (side * (wide + 0.25), top + 0.2),
                (side * (wide + 0.2), top + 0.5),
                (side * wide, top + 0.55),
            ]
        )
        canvas.line(handle, tint(cover.rgb, 0.7), 0.08 * unit)
    canvas.solid(place([(-wide, top), *reversed(base), (wide, top)]), cover.rgb, pose)
    brim = [*rim_at(top, wide, 0.06), *rim_at(top, -wide, -0.06)]
    canvas.solid(place(brim), tint(cover.rgb, 0.5), pose)
    if rng.random() < 0.5:
        band = [
            (-wide * 0.95, top + 0.3 * tall),
            (wide * 0.95, top + 0.3 * tall),
            (wide * 0.9, top + 0.6 * tall),
            (-wide * 0.9, top + 0.6 * tall),
        ]
        canvas.solid(place(band), cover.second_rgb, pose)
    wrist_elbow = place([(side * (wide + 0.15), top + 0.5), (side * 1.5, 3.3)])
    _draw_arm(canvas, pose, wrist_elbow, skin, sleeve)
    for finger in range(4):
        y = top + 0.18 + 0.15 * finger
        ends = place([(side * (wide + 0.12), y + 0.04), (-side * rng.uniform(0.0, 0.14), y)])
        canvas.solid(capsule(ends[0], ends[1], 0.085 * unit), tint(skin, 0.5), pose)
        canvas.solid(capsule(ends[0], ends[1], 0.072 * unit), skin, pose)
