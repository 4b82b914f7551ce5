"""Paints what is before a mouth: masks worn properly and not, hands, cups, scarves."""

import numpy as np
from PIL import Image, ImageDraw

from .paint import Canvas, Points, Rgb, ellipse, smooth, tint
from .person import Cover, CoverKind, Person


def draw_cover(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Paint what covers the mouth; `rng` draws creases and fingers."""
    cover = person.cover
    if cover.kind is CoverKind.HAND:
        _draw_hand(canvas, person, rng)
    elif cover.kind is CoverKind.CUP:
        _draw_cup(canvas, person, rng)
    elif cover.kind is not CoverKind.NONE:
        _draw_mask(canvas, cover, rng)


def draw_scarf(canvas: Canvas, rgb: Rgb) -> None:
    """Paint a scarf about the neck, pulled below the mouth."""
    pose, a = canvas.pose, canvas.pose.half_width
    half = [(0.0, 0.86), (0.6 * a, 0.78), (1.05 * a, 0.7), (1.25 * a, 1.2), (0.9 * a, 1.75)]
    cloth = [(-x, y) for x, y in reversed(half[1:])] + half + [(0.0, 1.9)]
    canvas.solid(smooth(pose.body(cloth)), rgb)
    for y in (1.05, 1.25, 1.5):
        fold = pose.body([(-0.95 * a, y - 0.12), (-0.3 * a, y + 0.03), (0.9 * a, y - 0.05)])
        canvas.line(fold, tint(rgb, 0.72), 0.035)


def _draw_mask(canvas: Canvas, cover: Cover, rng: np.random.Generator) -> None:
    pose, unit = canvas.pose, canvas.pose.unit_px
    _draw_straps(canvas, cover)
    outline = cover.outline(pose)
    canvas.glaze(outline + np.array([0, 0.03 * unit]), (20, 14, 12), 0.35, 0.04)
    canvas.solid(outline, cover.rgb, _fabric(cover))
    dark, light = tint(cover.rgb, 0.68), tint(cover.rgb, 0.6, (255, 255, 255))
    if cover.kind is CoverKind.UNDER_CHIN:
        for y in rng.uniform(0.95, 1.2, 3):
            half = 0.5 * pose.half_width
            canvas.line(pose.body([(-half, y - 0.1), (0.1, y), (half, y - 0.08)]), dark, 0.022)
        return
    angles = np.linspace(-0.95, 0.95, 9) * cover.reach_deg
    level = 1 - (angles / cover.reach_deg) ** 2
    bumps = cover.bulge * level

    def across(y_middle: float, y_side: float) -> Points:
        return pose.wrap(angles, y_side + (y_middle - y_side) * level, 1.05, bumps)

    canvas.line(across(cover.top + 0.05, cover.side_top + 0.05), dark, 0.016)
    if cover.style == "surgical":
        for part in (0.3, 0.5, 0.7):
            y = cover.top + part * (1 - cover.top)
            fold = across(y, 0.3 * y + 0.7 * (cover.side_top + part * (0.7 - cover.side_top)))
            canvas.line(fold, dark, 0.024)
            canvas.line(fold + np.array([0, 0.025 * unit]), light, 0.016)
    elif cover.style == "duckbill":
        fold = across(0.55, 0.5)
        canvas.glaze(np.concatenate([fold, across(0.9, 0.75)[::-1]]), dark, 0.5, 0.02)
        canvas.line(fold, light, 0.03)
    elif cover.style == "cone" or rng.random() < 0.6:
        ys = np.linspace(cover.top, 1.0, 8)
        ridge = cover.bulge * np.sin(np.pi * (0.2 + 0.8 * (ys - cover.top) / (1 - cover.top)))
        seam = pose.wrap(0, ys, 1.05, ridge)
        side_px = np.array([0.03 * unit, 0])
        canvas.line(seam, dark, 0.02)
        shine = np.concatenate([seam - side_px, seam[::-1] - 4 * side_px])
        canvas.glaze(shine, light, 0.4, 0.02)
    if cover.valve:
        angles, ys = ellipse(28 * cover.side, 0.62, 11, 0.13, 14).T
        rim = pose.wrap(angles, ys, 1.06, 0.8 * cover.bulge)
        canvas.solid(rim, (222, 222, 220))
        canvas.line(np.concatenate([rim, rim[:1]]), (120, 120, 124), 0.02)


def _draw_straps(canvas: Canvas, cover: Cover) -> None:
    """Ear loops, or for a cone the two bands that go round the head."""
    rgb = (238, 238, 236) if cover.rgb[0] > 90 else cover.rgb
    low = 0.6 if cover.kind is CoverKind.PROPER else 0.75
    start = cover.side_top + 0.04
    ends = (-0.25, 0.5) if cover.style in ("cone", "duckbill") else (-0.08, 0.2)
    for side in (-1, 1):
        for y_mask, y_head in zip((start, low), ends, strict=True):
            angles = [side * (cover.reach_deg - 3), side * 84, side * 96]
            ys = [y_mask, 0.4 * y_mask + 0.6 * y_head, y_head]
            canvas.line(canvas.pose.wrap(angles, ys, 1.02), rgb, 0.026)


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


def _draw_hand(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """A hand laid over the mouth, fingers to the far cheek, the arm coming from below."""
    pose, side = canvas.pose, person.cover.side
    rgb, edge = tint(person.skin, rng.uniform(0.88, 1.04)), tint(person.skin, 0.5)
    lean, high = rng.uniform(-0.05, 0.2), rng.uniform(0.3, 0.42)
    shift = 0.55 * pose.half_width * np.sin(pose.yaw)

    def place(points: list[tuple[float, float]]) -> Points:
        return pose.flat([(shift + side * x, y) for x, y in points])

    _draw_arm(canvas, place([(0.75, 1.1), (1.5, 3.4)]), rgb, person.clothes)
    palm = [(0.3, high - 0.08), (0.68, high + 0.05), (0.95, 1.0)]
    palm += [(0.85, 1.4), (0.45, 1.2), (0.28, 0.95)]
    canvas.solid(smooth(place(palm)), rgb)
    for finger in (3, 2, 1, 0):
        y = high + 0.16 * finger
        reach = (-0.3, -0.42, -0.38, -0.22)[finger] + rng.uniform(-0.06, 0.06)
        ends = place([(0.5, y + 0.05), (reach, y - lean)])
        canvas.limb(ends, 0.098, edge)
        canvas.limb(ends, 0.084, rgb)
        nail = place([(reach + 0.03, y - lean), (reach - 0.02, y - lean)])
        canvas.limb(nail, 0.04, tint(rgb, 0.75, (255, 225, 220)))


def _draw_arm(canvas: Canvas, wrist_elbow: Points, skin: Rgb, sleeve: Rgb) -> None:
    """A forearm, its lower part and the upper arm in a sleeve; (2, 2) pixels."""
    wrist, elbow = wrist_elbow
    canvas.limb((wrist, elbow), 0.25, skin)
    canvas.limb((wrist + 0.4 * (elbow - wrist), elbow), 0.34, sleeve)
    canvas.limb((elbow, elbow + np.array([0, 40 * canvas.pose.unit_px])), 0.4, sleeve)


def _draw_cup(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """A cup or mug held to the mouth, with the fingers that hold it."""
    pose, cover, side = canvas.pose, person.cover, person.cover.side
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
        corners = [(wide, 0.15), (wide + 0.25, 0.2), (wide + 0.2, 0.5), (wide, 0.55)]
        canvas.line(place([(side * x, top + y) for x, y in corners]), tint(cover.rgb, 0.7), 0.08)
    canvas.solid(place([(-wide, top), *reversed(base), (wide, top)]), cover.rgb)
    brim = [*rim_at(top, wide, 0.06), *rim_at(top, -wide, -0.06)]
    canvas.solid(place(brim), tint(cover.rgb, 0.5))
    if rng.random() < 0.5:
        corners = [(-0.95, 0.3), (0.95, 0.3), (0.9, 0.6), (-0.9, 0.6)]
        canvas.solid(place([(wide * x, top + y * tall) for x, y in corners]), cover.second_rgb)
    wrist_elbow = place([(side * (wide + 0.15), top + 0.5), (side * 1.5, 3.3)])
    _draw_arm(canvas, wrist_elbow, person.skin, person.clothes)
    for finger in range(4):
        y = top + 0.18 + 0.15 * finger
        ends = place([(side * (wide + 0.12), y + 0.04), (-side * rng.uniform(0.0, 0.14), y)])
        canvas.limb(ends, 0.085, tint(person.skin, 0.5))
        canvas.limb(ends, 0.072, person.skin)
