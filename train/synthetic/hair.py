"""Hair and what is worn on the head: caps, beanies, headscarves."""

import numpy as np
from PIL import Image

from .paint import Canvas, Rgb, ellipse, smooth, tint
from .person import Person


def strands(rng: np.random.Generator, rgb: Rgb) -> Image.Image:
    """A small picture of hair: streaks that run down."""
    streaks = rng.normal(1, 0.16, (5, 36, 1)) + rng.normal(0, 0.015, (5, 36, 3))
    return Image.fromarray(np.clip(streaks * rgb, 0, 255).astype(np.uint8))


def draw_hair_back(canvas: Canvas, person: Person, texture: Image.Image) -> None:
    """Paint the hair that is behind the head; `texture` comes from `strands`."""
    pose, style = canvas.pose, person.hairstyle
    if style == "afro":
        puff = ellipse(0, -0.55, 1.25, 1.15, 24)
        canvas.solid(pose.flat(puff * (pose.half_width / 0.78, 1)), person.hair, texture)
    elif style == "long":
        a = pose.half_width
        fall = [(-1.1 * a, -0.6), (-1.22 * a, 0.3), (-1.3 * a, 1.5), (-0.6 * a, 1.75)]
        points = fall + [(-x, y) for x, y in reversed(fall)] + [(0.7 * a, -1.3), (-0.7 * a, -1.3)]
        canvas.solid(smooth(pose.body(points)), tint(person.hair, 0.8), texture)
    elif style == "bun":
        canvas.solid(pose.flat(ellipse(0, -1.55, 0.33, 0.3, 16)), person.hair, texture)


def draw_hair_front(canvas: Canvas, person: Person, texture: Image.Image) -> None:
    """Paint the hair between crown and hairline; `texture` comes from `strands`."""
    pose, style = canvas.pose, person.hairstyle
    if style == "bald":
        return
    angles = np.array([-86.0, -74, -58, -30, 0, 30, 58, 74, 86])
    line = {
        "receding": [0.0, -0.5, -0.95, -1.15, -1.08, -1.15, -0.95, -0.5, 0.0],
        "fringe": [0.1, -0.5, -0.6, -0.58, -0.6, -0.56, -0.6, -0.5, 0.1],
        "long": [0.4, -0.2, -0.62, -0.9, -1.0, -0.9, -0.62, -0.2, 0.4],
    }.get(style, [0.0, -0.5, -0.72, -0.95, -1.0, -0.95, -0.72, -0.5, 0.0])
    lift = {"afro": 1.16, "receding": 1.03, "long": 1.1}.get(style, 1.07)
    crown = pose.outline(-1.4, line[0], lift)  # down the left from the crown, up the right
    left, right = crown[: len(crown) // 2], crown[len(crown) // 2 :]
    canvas.solid(np.concatenate([left, pose.wrap(angles, line), right]), person.hair, texture)


def draw_hat(canvas: Canvas, person: Person) -> None:
    """Paint a cap or a beanie."""
    pose, rgb = canvas.pose, person.headwear_rgb
    edge = -0.72 if person.headwear == "cap" else -0.7
    angles = np.linspace(-90, 90, 11)
    rim = pose.wrap(angles, edge + 0.06 * (angles / 90) ** 2, 1.06)
    crown = pose.outline(-1.4, edge, 1.1)
    canvas.solid(np.concatenate([crown[:16], rim, crown[16:]]), rgb)
    if person.headwear == "beanie":
        canvas.line(pose.wrap(angles, edge - 0.2, 1.09), tint(rgb, 0.7), 0.03)
        return
    front = np.linspace(-66, 66, 9)
    back_edge = pose.wrap(front, edge - 0.06, 1.06)
    peak = pose.wrap(front, edge + 0.04 + 0.1 * np.cos(np.radians(front * 1.3)), 1.06, 0.3)
    canvas.solid(np.concatenate([back_edge, peak[::-1]]), tint(rgb, 0.75))


def draw_headscarf_back(canvas: Canvas, person: Person) -> None:
    """Paint the part of a headscarf that is behind head and shoulders."""
    pose, a = canvas.pose, canvas.pose.half_width
    half = [(0.0, -1.5), (0.75 * a, -1.35), (1.18 * a, -0.6), (1.2 * a, 0.4), (1.15 * a, 1.1)]
    cloth = [(-x, y) for x, y in reversed(half[1:])] + half
    canvas.solid(smooth(pose.flat(cloth)), person.headwear_rgb)


def draw_headscarf_front(canvas: Canvas, person: Person) -> None:
    """Paint a headscarf's band about forehead, cheeks and neck, outside the face's outline."""
    pose, a, rgb = canvas.pose, canvas.pose.half_width, person.headwear_rgb
    half = [(1.2 * a, 0.0), (1.3 * a, 1.3), (0.9 * a, 2.0)]
    drape = pose.body(half + [(-x, y) for x, y in reversed(half)])
    canvas.solid(np.concatenate([pose.outline(-0.1, 1.0), drape]), rgb)
    angles = np.linspace(-90, 90, 11)
    brow = pose.wrap(angles, person.face_top + 0.3 * (angles / 90) ** 2)
    crown = pose.outline(-1.4, person.face_top + 0.3, 1.12)
    canvas.solid(np.concatenate([crown[:16], brow, crown[16:]]), rgb)
    fold = pose.body([(-1.1 * a, 0.9), (-0.4 * a, 1.35), (0.5 * a, 1.5)])
    canvas.line(fold, tint(rgb, 0.7), 0.03)
