"""Where a point of a head lands in the image, and a canvas that paints shaded shapes there.

Head coordinates: the unit is half the face's height; y runs down from the hairline (-1) to the chin
(+1), the crown being at -1.4; x runs right. A point on the head is named by its angle around the
vertical axis (0 is the middle of the face, 90 the right-hand silhouette) and its y.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Coords = NDArray[np.float64]  # any shape, one coordinate
Points = NDArray[np.float64]  # (N, 2), x and y
Rgb = tuple[int, int, int]

_WIDEST_Y = -0.25
_CROWN_Y = -1.4
_NECK_Y = 0.8  # the head rolls on the neck about this height
_SHADE_CELLS = 20  # shading is smooth: a coarse grid, stretched, is as good as one value a pixel


@dataclass(frozen=True)
class Pose:
    """Where a head is and which way it looks."""

    centre_xy: tuple[float, float]  # the middle of the face, in pixels
    unit_px: float  # half the face's height, in pixels
    half_width: float  # half the face's width, in units; about 0.7 to 0.85
    jaw: float  # 1.9 for a pointed jaw to 3 for a square one
    yaw: float  # radians, positive to the image's right
    pitch: float  # radians, positive downwards
    roll: float  # radians, positive clockwise

    def scaled(self, factor: float) -> "Pose":
        """The same head in an image that is `factor` times as large."""
        x, y = self.centre_xy
        return replace(self, centre_xy=(x * factor, y * factor), unit_px=self.unit_px * factor)

    def half_width_at(self, y: ArrayLike) -> Coords:
        """Half the head's width at height y, both in units; 0 above the crown, below the chin."""
        ys = np.asarray(y, dtype=np.float64)
        # np.clip costs more than the rest on arrays this short.
        above = np.minimum(np.maximum(_WIDEST_Y - ys, 0) / (_WIDEST_Y - _CROWN_Y), 1)
        below = np.minimum(np.maximum(ys - _WIDEST_Y, 0) / (1 - _WIDEST_Y), 1)
        profile = (1 - above**2.2) ** 0.5 * (1 - below**self.jaw) ** 0.55
        return np.asarray(self.half_width * profile)

    def wrap(
        self, angle_deg: ArrayLike, y: ArrayLike, lift: float = 1.0, bump: ArrayLike = 0.0
    ) -> Points:
        """Points on the head -> (N, 2) pixels.

        Angles, y and bumps are (N,) or a number. Past the silhouette points stay on it. A lift
        scales about the face's middle: 1.05 is 5 % off the skin. By a bump, in units, a point
        stands out to the front.
        """
        ys = np.asarray(y, dtype=np.float64)
        angle = np.radians(np.asarray(angle_deg, dtype=np.float64))
        return self._project(angle, ys, self.half_width_at(ys), lift, bump)

    def on_face(self, x: ArrayLike, y: ArrayLike, bump: ArrayLike = 0.0) -> Points:
        """Points of the face seen from the front, in units -> (N, 2) pixels."""
        xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        radius = self.half_width_at(ys)
        sines = np.minimum(np.maximum(xs / np.maximum(radius, 1e-6), -1), 1)
        return self._project(np.arcsin(sines), ys, radius, 1.0, bump)

    def oval(self, x: float, y: float, rx: float, ry: float, bump: float = 0.0) -> Points:
        """(16, 2) pixels, an ellipse lying on the face; arguments in units."""
        xs, ys = ellipse(x, y, rx, ry, 16).T
        return self.on_face(xs, ys, bump)

    def flat(self, points: ArrayLike) -> Points:
        """(N, 2) units in the plane of the picture, rolling with the head -> (N, 2) pixels."""
        xy = np.asarray(points, dtype=np.float64)
        return self._to_pixels(xy[:, 0], xy[:, 1], self.roll)

    def body(self, points: ArrayLike) -> Points:
        """(N, 2) units of neck and shoulders, which hardly roll with the head -> (N, 2) pixels."""
        xy = np.asarray(points, dtype=np.float64) - (0, _NECK_Y)
        pivot = self.flat([(0.1 * np.sin(self.yaw), _NECK_Y)])[0] - np.asarray(self.centre_xy)
        return np.asarray(self._to_pixels(xy[:, 0], xy[:, 1], 0.25 * self.roll) + pivot)

    def outline(self, y_from: float, y_to: float, lift: float = 1.0) -> Points:
        """(32, 2) pixels, the silhouette: down the left side from y_from, up the right side."""
        # Cosine spacing puts points where the curve turns: at the crown and at the chin.
        ys = y_from + (y_to - y_from) * np.sin(np.linspace(0, np.pi / 2, 16))
        if y_from < _WIDEST_Y:
            ys = y_from + (y_to - y_from) * (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 16)))
        left, right = self.wrap(-180, ys, lift), self.wrap(180, ys, lift)
        return np.concatenate([left, right[::-1]])

    def to_units(self, x: Coords, y: Coords) -> tuple[Coords, Coords]:
        """Pixels -> units in the plane of the picture; the inverse of `flat`."""
        dx, dy = (x - self.centre_xy[0]) / self.unit_px, (y - self.centre_xy[1]) / self.unit_px
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return dx * cos + dy * sin, dy * cos - dx * sin

    def _project(
        self, angle: Coords, ys: Coords, radius: Coords, lift: float, bump: ArrayLike
    ) -> Points:
        turned = np.minimum(np.maximum(angle + self.yaw, -np.pi / 2), np.pi / 2)
        bumps = np.asarray(bump, dtype=np.float64)
        # The chin leads the turn of the head; the silhouette of a sphere would not.
        lead = bumps + 0.22 * np.minimum(np.maximum(ys, -0.6), 1)
        xs = radius * np.sin(turned) + lead * math.sin(self.yaw)
        depth = radius * np.cos(turned) + bumps
        return self._to_pixels(lift * xs, lift * (ys + depth * math.sin(self.pitch)), self.roll)

    def _to_pixels(self, xs: Coords, ys: Coords, roll: float) -> Points:
        cos, sin = self.unit_px * math.cos(roll), self.unit_px * math.sin(roll)
        pixels = np.empty((xs.size, 2))
        pixels[:, 0] = xs * cos - ys * sin + self.centre_xy[0]
        pixels[:, 1] = xs * sin + ys * cos + self.centre_xy[1]
        return pixels


def ellipse(x: float, y: float, rx: float, ry: float, count: int) -> Points:
    """(count, 2) points of an ellipse about x, y."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=-1)


def smooth(points: Points, steps: int = 5) -> Points:
    """(N, 2) corners -> (N * steps, 2), a closed Catmull-Rom curve through them."""
    before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
    beyond = np.roll(points, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * points
        + (after - before) * t
        + (2 * before - 5 * points + 4 * after - beyond) * t**2
        + (3 * points - before - 3 * after + beyond) * t**3
    )  # (steps, N, 2)
    return np.asarray(curve.transpose(1, 0, 2).reshape(-1, 2))


def palette(names: str) -> tuple[Rgb, ...]:
    """Colours from their hexadecimal names, with spaces between them."""
    return tuple((r, g, b) for r, g, b in map(bytes.fromhex, names.split()))


def tint(rgb: Rgb, factor: float, towards: Rgb = (0, 0, 0)) -> Rgb:
    """Mix: `factor` of a colour and the rest of another; above 1 the colour brightens."""
    rest = max(0.0, 1 - factor)
    r, g, b = (
        min(255, max(0, round(c * factor + t * rest))) for c, t in zip(rgb, towards, strict=True)
    )
    return r, g, b


def jitter(rng: np.random.Generator, rgb: Rgb, spread: float) -> Rgb:
    """A colour near another; spread is the standard deviation in levels of 255."""
    r, g, b = np.clip(np.asarray(rgb) + rng.normal(0, spread, 3), 0, 255).astype(int).tolist()
    return r, g, b


@dataclass(frozen=True)
class Canvas:
    """An RGB picture under one light, on which one person is painted.

    Widths and blurs are in units of that person's head, as the rest of the head's coordinates.
    """

    image: Image.Image  # painted on
    light: tuple[float, float, float]  # a unit vector, as a `Scene` has it
    ambient: float  # 0..1, brightness of what faces away from the light
    pose: Pose  # of the person's head, in pixels of the picture

    def fill(self, points: Points, rgb: Rgb) -> None:
        """Paint a polygon in one flat colour."""
        ImageDraw.Draw(self.image).polygon(points.ravel().tolist(), fill=rgb)

    def line(self, points: Points, rgb: Rgb, width: float) -> None:
        """Paint an open line."""
        width_px = max(1, round(width * self.pose.unit_px))
        ImageDraw.Draw(self.image).line(points.ravel().tolist(), rgb, width_px, joint="curve")

    def limb(self, ends: Iterable[Points], radius: float, rgb: Rgb) -> None:
        """Paint a thick line with round ends, shaded as the head is; its two ends are in pixels."""
        start, end = ends
        along = end - start
        heading = np.arctan2(along[1], along[0])
        half = np.linspace(-np.pi / 2, np.pi / 2, 9)
        turn = np.concatenate([heading + half, heading + np.pi + half])
        rim = radius * self.pose.unit_px * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        self.solid(np.repeat(np.stack([end, start]), 9, axis=0) + rim, rgb)

    def solid(
        self,
        points: Points,
        rgb: Rgb,
        texture: Image.Image | None = None,
        opacity: float = 1.0,
        blur: float = 0.0,
        breadth: float = 1.0,
    ) -> None:
        """Paint a polygon as part of a round head: lit on one side, darker on the other.

        Points are (N, 2) pixels. The colour is that in full light; an RGB texture, stretched over
        the polygon's bounds, takes its place. `blur` softens the edge; the rounded body is
        `breadth` times as wide as the head.
        """
        patch = self._mask(points, opacity, blur)
        if patch is None:
            return
        mask, left, top = patch
        if texture is None:
            colours = Image.new("RGB", mask.size, rgb)
        else:
            colours = texture.resize(mask.size, Image.Resampling.BILINEAR)
        shade = self._shade(breadth, left, top, mask.size)
        self.image.paste(ImageChops.multiply(colours, shade), (left, top), mask)

    def glaze(self, points: Points, rgb: Rgb, opacity: float, blur: float) -> None:
        """Lay a soft-edged, see-through polygon over the picture: shadows and highlights."""
        patch = self._mask(points, opacity, blur)
        if patch is not None:
            mask, left, top = patch
            self.image.paste(rgb, (left, top), mask)

    def _mask(
        self, points: Points, opacity: float, blur: float
    ) -> tuple[Image.Image, int, int] | None:
        """A polygon's coverage, cut to the canvas, and where its top left corner lies."""
        blur_px = blur * self.pose.unit_px
        margin = 2 * blur_px + 1
        low = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
        high = np.minimum(np.ceil(points.max(axis=0) + margin), self.image.size).astype(int)
        if (high <= low).any():
            return None
        width, height = (high - low).tolist()
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).polygon((points - low).ravel().tolist(), fill=round(255 * opacity))
        if blur_px >= 0.5:
            mask = mask.filter(ImageFilter.BoxBlur(blur_px))
        left, top = low.tolist()
        return mask, left, top

    def _shade(self, breadth: float, left: int, top: int, size_wh: tuple[int, int]) -> Image.Image:
        """Lambert shading of an ellipsoid about the head, as an RGB picture of factors."""
        xs = left + (np.arange(_SHADE_CELLS) + 0.5) / _SHADE_CELLS * size_wh[0]
        ys = top + (np.arange(_SHADE_CELLS) + 0.5) / _SHADE_CELLS * size_wh[1]
        x, y = self.pose.to_units(xs[None, :], ys[:, None])  # (cells, cells) each
        # The ellipsoid turns over at its edge: below the chin and beside it the slope stays.
        nx = np.clip(x / (1.25 * breadth * self.pose.half_width), -0.95, 0.95)
        ny = np.clip((y + 0.2) / 1.6, -0.9, 0.9)
        nz = np.sqrt(np.maximum(0.08, 1 - nx**2 - ny**2))
        facing = nx * self.light[0] + ny * self.light[1] + nz * self.light[2]
        facing = np.maximum(facing / np.sqrt(nx**2 + ny**2 + nz**2), 0)  # (cells, cells), 0..1
        factor = self.ambient + (1 - self.ambient) * facing
        cells = Image.fromarray((255 * factor).astype(np.uint8))
        cells = cells.resize(size_wh, Image.Resampling.BILINEAR)
        return Image.merge("RGB", (cells, cells, cells))
