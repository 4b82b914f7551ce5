"""Who is in the image: a person as parameters, and the face's exact bounds."""

from dataclasses import dataclass

import numpy as np

from .cover import Cover, random_cover, worn_outline
from .paint import Pose, Rgb, jitter, palette, tint

# From Fitzpatrick type I to VI, in full light.
_SKIN = palette("ffe8da fad8be eec4a0 d8a880 b6845e 8e6244 684632 483228")
_HAIR = palette("181414 281c16 483020 704c2e b08a54 d6ba88 8c3e22 969492 d6d4d0")
CLOTH_COLOURS = palette(
    "242834 e2e2de 96282c 2c4a82 a0c8e2 406446 78787c ceaa50 e2b4be d4b092 5a3c64"
)
_HAIRSTYLES = ("short", "long", "fringe", "bald", "afro", "bun", "receding")
_HEADWEAR = ("none", "cap", "beanie", "headscarf")
# Where the visible face begins, in units: the hairline, a bald forehead, or the hat's edge.
_FACE_TOP = {"cap": -0.74, "beanie": -0.74, "headscarf": -0.86}


@dataclass(frozen=True)
class Person:
    """Everything about a person that is not a stroke of the brush.

    Attributes:
        pose: where the head is, in pixels of the image.
        skin: colour in full light.
        hair: colour in full light, also of brows and beard.
        hairstyle: one of `short long fringe bald afro bun receding`.
        headwear: one of `none cap beanie headscarf`; it hides most of the hair.
        headwear_rgb: its colour.
        beard: 0 for none to 1 for a full one; between, stubble.
        glasses: one of `none clear dark`.
        scarf: a scarf about the neck, pulled below the mouth.
        clothes: colour of the clothes.
        cover: what covers the mouth, or does not.
        strokes_seed: seeds what is drawn freely: brows, lips, creases, patterns.
    """

    pose: Pose
    skin: Rgb
    hair: Rgb
    hairstyle: str
    headwear: str
    headwear_rgb: Rgb
    beard: float
    glasses: str
    scarf: bool
    clothes: Rgb
    cover: Cover
    strokes_seed: int

    @property
    def face_top(self) -> float:
        """Where the visible face begins in the middle of the forehead, in units."""
        bare = -1.1 if self.hairstyle in ("bald", "receding") else -1.0
        return _FACE_TOP.get(self.headwear, bare)


def random_person(rng: np.random.Generator, pose: Pose) -> Person:
    """Draw a person at random; half of them wear a mask properly."""
    tone = rng.uniform(0, len(_SKIN) - 1)
    lighter, darker = _SKIN[int(tone)], _SKIN[int(tone) + 1]
    skin = jitter(rng, tint(darker, tone % 1, lighter), 5)
    hair = _HAIR[min(int(rng.exponential(2.6)), len(_HAIR) - 1)]
    if tone > 3.5 and rng.random() < 0.85:
        hair = _HAIR[int(rng.integers(0, 2))]
    clothes = skin if rng.random() < 0.06 else CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
    return Person(
        pose=pose,
        skin=skin,
        hair=jitter(rng, hair, 4),
        hairstyle=str(rng.choice(_HAIRSTYLES, p=[0.3, 0.24, 0.12, 0.09, 0.08, 0.08, 0.09])),
        headwear=str(rng.choice(_HEADWEAR, p=[0.78, 0.09, 0.06, 0.07])),
        headwear_rgb=jitter(rng, CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))], 18),
        beard=float(rng.choice([0.0, 0.35, 1.0], p=[0.7, 0.15, 0.15])),
        glasses=str(rng.choice(["none", "clear", "dark"], p=[0.74, 0.2, 0.06])),
        scarf=bool(rng.random() < 0.07),
        clothes=jitter(rng, clothes, 14),
        cover=random_cover(rng, skin),
        strokes_seed=int(rng.integers(2**32)),
    )


def face_bounds_xyxy(person: Person) -> tuple[float, float, float, float]:
    """The face from hairline to chin and from ear to ear, with a worn mask, in pixels, unrounded.

    Computed from the outlines that `draw_person` paints.
    """
    pose, top = person.pose, person.face_top
    angles = np.linspace(-80, 80, 17)
    points = np.concatenate(
        [
            pose.outline(max(top, -0.5), 1.0),
            pose.wrap(angles, top + 0.45 * (angles / 80) ** 2),
            worn_outline(person.cover, pose),
        ]
    )
    (left, upper), (right, lower) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, upper, right, lower
