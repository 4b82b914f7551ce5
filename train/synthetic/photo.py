"""What makes a drawing look like a photo: a cluttered background, and the camera's faults."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .paint import Rgb, jitter, palette
from .person import MASK_COLOURS

_SKIN_LIKE = palette("eec8aa c89673 78543e")


def draw_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image.Image:
    """Paint a background: colour fields, texture, shapes, all more or less out of focus.

    Some shapes have the colours of masks and of skin, so that colour alone tells nothing.
    """
    image = _field(rng, size_wh)
    for _ in range(rng.poisson(7)):
        _draw_shape(image, rng)
    if rng.random() < 0.3:
        _draw_stripes(image, rng)
    blur_px = float(rng.choice([0.0, 1.0, 3.0, 7.0])) * max(size_wh) / 224
    if blur_px:
        image = image.filter(ImageFilter.BoxBlur(blur_px))
    for _ in range(rng.poisson(1.2)):
        _draw_shape(image, rng)
    return image


def develop(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Put an image through a camera: light falling from one side, colour cast, blur, noise."""
    blur_px = max(0.0, rng.normal(0.1, 0.5)) * max(image.size) / 224
    if blur_px > 0.2:
        image = image.filter(ImageFilter.GaussianBlur(blur_px))
    pixels = np.asarray(image, dtype=np.float32)  # (H, W, 3), 0..255
    height, width = pixels.shape[:2]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    slope_x, slope_y = rng.normal(0, 0.13, 2)
    vignette = rng.uniform(0, 0.22) * rng.integers(2)
    exposure = np.exp(rng.normal(0.02, 0.2)) * (1 + rng.normal(0, 0.04, 3))  # (3,)
    gain = (1 + slope_x * across - vignette * across**2) + (slope_y * down - vignette * down**2)
    contrast = rng.uniform(0.72, 1.2)
    lift = rng.normal(0, 8)
    pixels = (pixels - 128) * np.float32(contrast) + np.float32(128 + lift)
    pixels *= gain.astype(np.float32)
    pixels *= exposure.astype(np.float32)
    sigma = rng.uniform(0, 4) if rng.random() < 0.75 else rng.uniform(4, 14)
    noise = rng.standard_normal((height, width, 1), dtype=np.float32)
    if rng.random() < 0.5:
        noise = noise + rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(0.5)
    pixels += np.float32(sigma) * noise
    np.clip(pixels, 0, 255, out=pixels)
    developed = Image.fromarray(pixels.astype(np.uint8))
    if rng.random() < 0.04:
        developed = developed.convert("L").convert("RGB")
    return developed


def _field(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image.Image:
    """Soft colour fields with two octaves of texture."""
    base = rng.uniform(30, 235) + rng.normal(0, 28, 3)  # rooms and streets are mostly greyish
    cells = rng.integers(1, 5, 2)
    spread = rng.uniform(5, 45)
    colours = base + rng.normal(0, spread, (*cells, 1)) + rng.normal(0, 0.4 * spread, (*cells, 3))
    field = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    image = field.resize(size_wh, Image.Resampling.BICUBIC)
    strength = rng.uniform(0, 0.35)
    for count in (9, 50):
        grain = rng.integers(0, 256, (count, count, 3), dtype=np.uint8)
        grain[..., 1:] = grain[..., :1] // 4 * 3 + grain[..., 1:] // 4
        texture = Image.fromarray(grain).resize(size_wh, Image.Resampling.BILINEAR)
        image = Image.blend(image, texture, strength * rng.uniform(0.2, 0.8))
    return image


def _colour(rng: np.random.Generator) -> Rgb:
    kind = rng.random()
    if kind < 0.2:
        return jitter(rng, MASK_COLOURS[rng.integers(len(MASK_COLOURS))], 12)
    if kind < 0.35:
        return jitter(rng, _SKIN_LIKE[rng.integers(len(_SKIN_LIKE))], 14)
    return jitter(rng, (grey := int(rng.integers(10, 246)), grey, grey), rng.uniform(5, 60))


def _draw_shape(image: Image.Image, rng: np.random.Generator) -> None:
    draw, side = ImageDraw.Draw(image), max(image.size)
    x, y = rng.uniform(0, 1, 2) * image.size
    w, h = np.exp(rng.uniform(np.log(0.04), np.log(0.5), 2)) * side
    rgb = _colour(rng)
    bounds = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    kind = rng.integers(4)
    if kind == 0:
        draw.rectangle(bounds, fill=rgb)
    elif kind == 1:
        draw.ellipse(bounds, fill=rgb)
    elif kind == 2:
        end = rng.uniform(0, 1, 2) * image.size
        draw.line((x, y, *end.tolist()), fill=rgb, width=int(0.02 * side * rng.random() + 1))
    else:
        corners = rng.normal(0, 0.5, (int(rng.integers(3, 7)), 2)) * (w, h) + (x, y)
        draw.polygon([(cx, cy) for cx, cy in corners.tolist()], fill=rgb)


def _draw_stripes(image: Image.Image, rng: np.random.Generator) -> None:
    """Blinds, fences, shelves: parallel lines over the whole width or height."""
    rgb = _colour(rng)
    upright = bool(rng.integers(2))
    width, height = image.size
    length = width if upright else height
    step = length * rng.uniform(0.04, 0.2)
    for place in np.arange(step / 2, length, step).tolist():
        line = (place, 0, place, height) if upright else (0, place, width, place)
        ImageDraw.Draw(image).line(line, fill=rgb, width=max(1, int(step * 0.25)))
