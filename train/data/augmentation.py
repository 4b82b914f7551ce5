"""Random changes to a training photo: crop, zoom and background, flip and colour.

The first three take a photo as it was decoded, perhaps reduced, and its faces: (M, 4) x, y, w, h in
pixels of the upright original, the labelled one first. They return what they cut out as a photo of
its own, and the same faces in its pixels. `Changes` are drawn with a canvas, and made to a whole
batch on the device that computes.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskinfer.data.boxes import Boxes
from maskinfer.data.images import Photo
from maskinfer.train.networks.network import Targets

_BACKGROUND_TRIES = 10
_LEAST_ZOOM = 48.0  # pixels of the photo; less is too blurred to learn from
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey (ITU-R BT.601)


def random_crop(photo: Photo, faces: Boxes, rng: np.random.Generator) -> tuple[Photo, Boxes]:
    """Cut away some of the photo around the labelled face, four times in five.

    That face stays whole, and a left-most one stays left-most, as only what lies outside it is cut.
    """
    if rng.random() < 0.2:
        return photo, faces
    wh = _decoded_wh(photo)
    box = _scaled(photo, faces[0])
    low = np.clip(np.floor(box[:2]), 0, wh - 1)
    high = np.clip(np.ceil(box[:2] + box[2:]), low + 1, wh)
    low = np.floor(low * rng.random(2))
    return _cut(photo, faces, low, np.ceil(high + (wh - high) * rng.random(2)))


def random_zoom(photo: Photo, faces: Boxes, rng: np.random.Generator) -> tuple[Photo, Boxes]:
    """Cut out a square with one of the faces, whose longer side is a tenth to 5/6 of the square's.

    One photo in five stays whole. In half of the others it is the labelled face, else any. The
    square ends where the photo does.
    """
    if rng.random() < 0.2:
        return photo, faces
    chosen = 0 if rng.random() < 0.5 else int(rng.integers(len(faces)))
    box = _scaled(photo, faces[chosen])
    face_side = max(box[2], box[3], 1.0)
    side = max(face_side * math.exp(rng.uniform(math.log(1.2), math.log(10))), _LEAST_ZOOM)
    # Where the square begins: anywhere that leaves the whole face in it.
    corner = box[:2] + box[2:] - side + (side - box[2:]) * rng.random(2)
    wh = _decoded_wh(photo)
    low = np.clip(np.floor(corner), 0, wh - 1)
    return _cut(photo, faces, low, np.clip(np.ceil(corner + side), low + 1, wh))


def random_background(photo: Photo, faces: Boxes, rng: np.random.Generator) -> tuple[Photo, Boxes]:
    """Cut out a square without any of the faces; the photo as it is where there is hardly one."""
    boxes = _scaled(photo, faces)
    wh = _decoded_wh(photo)
    most = wh.min()
    for _ in range(_BACKGROUND_TRIES if most > _LEAST_ZOOM else 0):
        side = math.exp(rng.uniform(math.log(_LEAST_ZOOM), math.log(most)))
        low = np.floor((wh - side) * rng.random(2))
        high = np.ceil(low + side)
        if not ((boxes[:, :2] < high) & (boxes[:, :2] + boxes[:, 2:] > low)).all(axis=1).any():
            return _cut(photo, faces, low, high)
    return photo, faces


def _decoded_wh(photo: Photo) -> NDArray[np.int64]:
    return np.array(photo.pixels.shape[1::-1])


def _scaled(photo: Photo, boxes: Boxes) -> Boxes:
    """Boxes (..., 4) of the upright original in pixels of the decoded photo."""
    return np.asarray(boxes * np.tile(_decoded_wh(photo) / photo.size_wh, 2))


def _cut(photo: Photo, faces: Boxes, low: Boxes, high: Boxes) -> tuple[Photo, Boxes]:
    """What lies between two corners (2,), x and y in decoded pixels."""
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    pixels = photo.pixels[top:bottom, left:right]
    size_wh = (pixels.shape[1], pixels.shape[0])
    return Photo(pixels, size_wh), _scaled(photo, faces) - [left, top, 0, 0]


class Changes(NamedTuple):
    """Changes to B canvases, after which they show the same faces."""

    flipped: Tensor  # (B,) bool
    color: Tensor  # (B, 3) float32, brightness, contrast and saturation as multiples

    @classmethod
    def draw(cls, augment: Collection[str], rng: np.random.Generator) -> Self:
        """Those of one canvas: one in two is flipped, each colour changed by up to 40 %."""
        flipped = "flip" in augment and rng.random() < 0.5
        color = rng.uniform(0.6, 1.4, (1, 3)) if "color" in augment else np.ones((1, 3))
        return cls(torch.tensor([flipped]), torch.from_numpy(color).float())

    @classmethod
    def join(cls, changes: Sequence[Self]) -> Self:
        """Those of a batch."""
        return cls(*map(torch.cat, zip(*changes, strict=True)))

    def make(self, canvases: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        """Change canvases, (B, S, S, 3) uint8, and the boxes on them."""
        flipped = self.flipped[:, None, None, None]
        pixels = torch.where(flipped, canvases.flip(2), canvases).flatten(1, 2)
        brightness, contrast, saturation = self.color[:, :, None, None].unbind(1)  # (B, 1, 1)
        luma = torch.tensor(_LUMA, device=pixels.device)
        pixels = (pixels * brightness).clamp_(max=255)  # (B, S * S, 3)
        grey = (pixels.mean(dim=1, keepdim=True) * luma).sum(dim=2, keepdim=True)
        pixels = torch.lerp(grey, pixels, contrast).clamp_(0, 255)
        mix = torch.lerp(luma[:, None].expand(3, 3), torch.eye(3, device=luma.device), saturation)
        pixels = (pixels @ mix).clamp_(0, 255).round_().byte()
        side = canvases.shape[2]
        return pixels.reshape(canvases.shape), targets._replace(
            boxes_xywh=self._flip(targets.boxes_xywh, side),
            faces_xywh=self._flip(targets.faces_xywh, side),
        )

    def _flip(self, boxes_xywh: Tensor, side: int) -> Tensor:
        x, *rest = boxes_xywh.unbind(-1)
        flipped = self.flipped.reshape(-1, *[1] * (x.dim() - 1))
        return torch.stack([torch.where(flipped, side - x - rest[1], x), *rest], dim=-1)
