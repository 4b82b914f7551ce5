"""Paints one person: body, head, eyes, nose, mouth, and in order all that lies over them."""

import numpy as np
from PIL import Image

from . import hair
from .cover import draw_cover, draw_scarf
from .paint import Canvas, Rgb, ellipse, jitter, palette, tint
from .person import CLOTH_COLOURS, Person

_IRIS = palette("3c2414 281a12 466482 5a643c")


def draw_person(canvas: Canvas, person: Person) -> None:
    """Paint one person from back to front, with the head where the canvas's pose says."""
    rng = np.random.default_rng(person.strokes_seed)
    pose = canvas.pose
    scarfed = person.headwear == "headscarf"
    texture = hair.strands(rng, person.hair)
    if scarfed:
        hair.draw_headscarf_back(canvas, person)
    elif person.headwear != "beanie":
        hair.draw_hair_back(canvas, person, texture)
    _draw_torso(canvas, person, rng)
    if not scarfed:
        _draw_ears(canvas, person)
    canvas.solid(pose.outline(person.face_top if scarfed else -1.4, 1.0), person.skin)
    _draw_relief(canvas, person)
    _draw_beard(canvas, person, rng)
    _draw_eyes(canvas, person, rng)
    _draw_nose(canvas, person, rng)
    _draw_mouth(canvas, person, rng)
    if not scarfed:
        hair.draw_hair_front(canvas, person, texture)
    if person.scarf:
        draw_scarf(canvas, person.headwear_rgb)
    glasses_first = rng.random() < 0.5
    if glasses_first:
        _draw_glasses(canvas, person)
    # A headscarf lies over a worn mask's straps, and under a hand, a cup, a mask at the neck.
    if scarfed and not person.cover.on_face:
        hair.draw_headscarf_front(canvas, person)
    draw_cover(canvas, person, rng)
    if not glasses_first:
        _draw_glasses(canvas, person)
    if scarfed and person.cover.on_face:
        hair.draw_headscarf_front(canvas, person)
    elif person.headwear in ("cap", "beanie"):
        hair.draw_hat(canvas, person)


def _draw_torso(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    pose, a = canvas.pose, canvas.pose.half_width
    neck = rng.uniform(0.55, 0.75) * a
    side = [(neck, 0.4), (neck, 1.35), (1.5 * neck, 1.75), (0.4 * neck, 2.2)]
    canvas.solid(pose.body(side + [(-x, y) for x, y in reversed(side)]), person.skin)
    if person.headwear != "headscarf":
        canvas.glaze(pose.outline(0.5, 1.0, 1.16), tint(person.skin, 0.35), 0.55, 0.1)
    wide, collar = rng.uniform(1.8, 2.4), rng.uniform(1.2, 1.5)
    dip = collar + rng.choice([0.1, 0.25, 0.55])
    shoulder = [(neck * 1.02, collar), (0.45 * wide, 1.5), (0.8 * wide, 1.68), (0.97 * wide, 2.0)]
    half = [*shoulder, (1.05 * wide, 2.6), (1.15 * wide, 4.5), (1.2 * wide, 40)]
    shirt = [(-x, y) for x, y in reversed(half)] + [(0.0, dip)] + half
    canvas.solid(pose.body(shirt), person.clothes, _fabric(rng, person.clothes), breadth=3.2)
    if rng.random() < 0.35:
        seam = tint(person.clothes, 0.6)
        canvas.line(pose.body([(0, dip), (0.03, 4)]), seam, 0.03)
        canvas.line(pose.body([(-neck, collar), (0, dip), (neck, collar)]), seam, 0.05)


def _fabric(rng: np.random.Generator, rgb: Rgb) -> Image.Image | None:
    """Stripes or checks across the clothes, or None for plain ones."""
    kind = rng.integers(5)
    if kind > 1:
        return None
    other = np.asarray(CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))])
    cells = np.empty((40, 40, 3), dtype=np.uint8)
    cells[:] = rgb
    cells[:, ::4] = other
    if kind == 1:
        cells[::4] = (cells[::4] + other) // 2
    return Image.fromarray(cells)


def _draw_ears(canvas: Canvas, person: Person) -> None:
    pose = canvas.pose
    for side in (-1, 1):
        # The ear on the side the face turns to is behind the head.
        if side * pose.yaw > 0.25:
            continue
        inward = max(0.0, -side * pose.yaw)
        x = side * pose.half_width * (1.05 - 0.45 * inward)
        canvas.solid(pose.flat(ellipse(x, 0.02, 0.11, 0.25, 14)), tint(person.skin, 0.92))


def _draw_relief(canvas: Canvas, person: Person) -> None:
    """Soft shadows of sockets, nose and cheeks, soft light on ridge, brow and cheekbones."""
    pose = canvas.pose
    shadow, shine = tint(person.skin, 0.45), tint(person.skin, 0.55, (255, 246, 236))
    for side in (-1, 1):
        canvas.glaze(pose.oval(side * 0.34, -0.2, 0.2, 0.13), shadow, 0.34, 0.06)
        canvas.glaze(pose.oval(side * 0.13, 0.12, 0.06, 0.2), shadow, 0.22, 0.06)
        canvas.glaze(pose.oval(side * 0.6, 0.45, 0.12, 0.32), shadow, 0.18, 0.12)
        blush = tint(person.skin, 0.7, (210, 60, 60))
        canvas.glaze(pose.oval(side * 0.42, 0.2, 0.16, 0.12), blush, 0.3, 0.1)
        canvas.glaze(pose.oval(side * 0.4, 0.06, 0.13, 0.06), shine, 0.25, 0.06)
    canvas.glaze(pose.oval(0, 0.08, 0.045, 0.24, 0.12), shine, 0.4, 0.04)
    canvas.glaze(pose.oval(0, -0.68, 0.3, 0.14), shine, 0.2, 0.12)
    canvas.glaze(pose.oval(0, 0.37, 0.15, 0.05), shadow, 0.45, 0.03)
    canvas.glaze(pose.oval(0, 0.73, 0.17, 0.04), shadow, 0.4, 0.03)
    canvas.glaze(pose.oval(0, 0.87, 0.1, 0.06), shine, 0.22, 0.04)


def _draw_beard(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.beard == 0 or person.headwear == "headscarf":
        return
    pose = canvas.pose
    full = person.beard == 1
    lift = 1.06 if full else 1.0
    cheek, lip = rng.uniform(0.25, 0.45), rng.uniform(0.4, 0.44)
    edge_angles = np.array([-78.0, -50, -25, 0, 25, 50, 78])
    edge = pose.wrap(edge_angles, [0.1, cheek, lip, lip, lip, cheek, 0.1])
    jaw = pose.outline(0.1, 1.0, lift)
    grain = rng.normal(1, 0.18, (24, 24, 1)) * tint(person.hair, 0.9)
    grain_image = Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))
    opacity = 0.94 if full else 0.4
    canvas.solid(np.concatenate([edge, jaw[::-1]]), person.hair, grain_image, opacity, 0.03)


def _draw_eyes(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    pose = canvas.pose
    opening = rng.uniform(0.06, 0.1) if rng.random() > 0.07 else 0.012
    gaze, brow_y = rng.uniform(-0.04, 0.04), rng.uniform(-0.46, -0.37)
    brow, arch = rng.uniform(0.025, 0.06), rng.uniform(0.0, 0.07)
    iris = jitter(rng, _IRIS[rng.choice(len(_IRIS), p=[0.45, 0.35, 0.12, 0.08])], 10)
    lash = tint(person.skin, 0.2)
    t = np.linspace(-1, 1, 7)
    for side in (-1, 1):
        cx = side * 0.35
        upper = pose.on_face(cx + 0.16 * t, -0.2 - opening * (1 - t**2))
        lower = pose.on_face(cx + 0.16 * t, -0.2 + 0.7 * opening * (1 - t**2))
        if opening > 0.02:
            canvas.solid(np.concatenate([upper, lower[::-1]]), (244, 238, 232))
            canvas.fill(pose.oval(cx + gaze, -0.205, 0.07, min(0.075, opening * 1.1)), iris)
            canvas.fill(pose.oval(cx + gaze, -0.205, 0.032, 0.036), (12, 10, 10))
            canvas.fill(pose.oval(cx + gaze + 0.02, -0.23, 0.014, 0.014), (235, 235, 235))
        canvas.line(upper, lash, 0.03)
        canvas.line(lower, tint(person.skin, 0.55), 0.012)
        bx = cx + side * 0.02 + 0.21 * t
        top = pose.on_face(bx, brow_y - arch * (1 - t**2) - brow)
        bottom = pose.on_face(bx, brow_y - arch * (1 - t**2) + brow * (1 - t**2))
        tone = tint(person.hair, 0.75, tint(person.skin, 0.5))
        canvas.glaze(np.concatenate([top, bottom[::-1]]), tone, 0.85, 0.012)


def _draw_nose(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    pose = canvas.pose
    wide, tip = rng.uniform(0.12, 0.19), rng.uniform(0.26, 0.32)
    dark, line = tint(person.skin, 0.22), tint(person.skin, 0.5)
    for side in (-1, 1):
        canvas.fill(pose.oval(side * 0.55 * wide, tip + 0.03, 0.042, 0.024, 0.14), dark)
        wing_x = side * np.array([0.75, 1.05, 0.95]) * wide
        wing = pose.on_face(wing_x, [tip - 0.09, tip - 0.01, tip + 0.04], 0.08)
        canvas.line(wing, line, 0.022)
    below = [-0.3 * wide, 0, 0.3 * wide], [tip + 0.045, tip + 0.06, tip + 0.045]
    canvas.line(pose.on_face(*below, 0.14), line, 0.02)


def _draw_mouth(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    pose = canvas.pose
    half, smile = rng.uniform(0.2, 0.31), rng.uniform(-0.03, 0.09)
    gap = rng.uniform(0.03, 0.12) if rng.random() < 0.3 else 0.0
    full = rng.uniform(0.03, 0.065)
    lips = tint(person.skin, rng.uniform(0.55, 0.8), (150, 40, 50))
    t = np.linspace(-1, 1, 9)
    y = 0.56 - smile * (t**2 - 0.3)
    dome = 1 - t**2
    upper = pose.on_face(half * t, y - (full + 0.3 * gap) * dome + 0.012 * np.exp(-((6 * t) ** 2)))
    lower = pose.on_face(half * t, y + (1.4 * full + gap) * dome)
    canvas.solid(np.concatenate([upper, lower[::-1]]), lips)
    inner_top = pose.on_face(half * t, y - 0.3 * gap * dome)
    if gap:
        inner_low = pose.on_face(half * t, y + gap * dome)
        canvas.fill(np.concatenate([inner_top, inner_low[::-1]]), (60, 20, 22))
        teeth = pose.on_face(half * t, y + 0.35 * gap * dome)
        canvas.solid(np.concatenate([inner_top, teeth[::-1]])[1:-1], (245, 240, 230))
    canvas.line(inner_top, tint(person.skin, 0.3, (60, 10, 16)), 0.018)


def _draw_glasses(canvas: Canvas, person: Person) -> None:
    if person.glasses == "none":
        return
    pose = canvas.pose
    frame = (30, 28, 30) if person.hair[0] < 120 else (120, 90, 60)
    for side in (-1, 1):
        lens = pose.oval(side * 0.36, -0.17, 0.25, 0.18, 0.1)
        if person.glasses == "dark":
            canvas.solid(lens, (44, 40, 44), opacity=0.95)
        else:
            canvas.glaze(lens, (230, 240, 250), 0.12, 0)
        canvas.line(np.concatenate([lens, lens[:1]]), frame, 0.03)
        canvas.line(pose.wrap([side * 52, side * 92], [-0.2, -0.12], bump=[0.1, 0]), frame, 0.03)
    canvas.line(pose.on_face([-0.11, 0, 0.11], [-0.2, -0.23, -0.2], 0.1), frame, 0.03)
