"""Who is in the image and what covers the mouth, as parameters, and the face's exact bounds."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .paint import Points, Pose, Rgb, jitter, palette, smooth, tint

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


class CoverKind(StrEnum):
    """What covers the mouth; only `PROPER` is labelled True."""

    PROPER = "proper"
    NONE = "none"
    UNDER_NOSE = "under nose"
    UNDER_CHIN = "under chin"
    HAND = "hand"
    CUP = "cup"


_COVER_ODDS = (0.5, 0.175, 0.125, 0.1, 0.05, 0.05)  # of each kind, in the order above
MASK_COLOURS = palette("a6d0e8 80b8dc f6f6f4 242428 888a8e a0ceb8 f2bcc8 2c3860 aa3038 d6be96")
_COLOUR_ODDS = (0.22, 0.12, 0.2, 0.14, 0.08, 0.07, 0.06, 0.05, 0.03, 0.03)


@dataclass(frozen=True)
class Cover:
    """What covers the mouth."""

    kind: CoverKind
    style: str  # of a mask: `surgical`, `cloth`, `cone` or `duckbill`
    rgb: Rgb  # in full light
    pattern: str  # `plain`, `stripes`, `dots` or `checks`
    second_rgb: Rgb  # the pattern's other colour
    valve: bool
    side: int  # -1 or 1, from which side a hand or cup comes
    top: float  # the mask's upper edge in the middle of the face, in head units
    side_top: float  # the mask's upper edge at the cheeks, in head units
    reach_deg: float  # angle about the head that the mask's sides reach

    @property
    def on_face(self) -> bool:
        """Whether it is a mask on the face, if not over the nose; one at the neck is not."""
        return self.kind in (CoverKind.PROPER, CoverKind.UNDER_NOSE)

    @property
    def bulge(self) -> float:
        """How far a mask's middle stands out to the front, in units."""
        return {"cone": 0.22, "duckbill": 0.28}.get(self.style, 0.1)

    def outline(self, pose: Pose) -> Points:
        """(N, 2) pixels of a mask: along the upper edge from left to right, back by the jaw."""
        reach, top, side = self.reach_deg, self.top, self.side_top
        angles = np.array([-reach, -0.55 * reach, -14, 0, 14, 0.55 * reach, reach])
        middle = 0.45 * side + 0.55 * top
        heights = [side, middle, top, top, top, middle, side]
        if self.kind is CoverKind.UNDER_CHIN:
            below = np.array([(0.8, 0.95), (0.45, 1.2), (0, 1.28), (-0.45, 1.2), (-0.8, 0.95)])
            neck = pose.body(below * (pose.half_width, 1))
            return smooth(np.concatenate([pose.wrap(angles, heights, 1.04), neck]), 3)
        stands_out = self.bulge * np.array([0, 0.3, 0.5, 0.5, 0.5, 0.3, 0])
        edge = pose.wrap(angles, heights, 1.03, stands_out)
        jaw_angles = np.array([reach + 6, reach + 4, 60, 30, 0, -30, -60, -reach - 4, -reach - 6])
        jaw_y = [0.45, 0.68, 0.86, 0.97, 1.0, 0.97, 0.86, 0.68, 0.45]
        jaw = pose.wrap(jaw_angles, jaw_y, 1.06, 0.5 * self.bulge * np.cos(np.radians(jaw_angles)))
        return smooth(np.concatenate([edge, jaw]), 3)


def random_cover(rng: np.random.Generator, skin: Rgb) -> Cover:
    """Draw what covers a mouth at random; half of the time a mask, worn properly."""
    kind = list(CoverKind)[rng.choice(len(CoverKind), p=_COVER_ODDS)]
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


@dataclass(frozen=True)
class Person:
    """Everything about a person that is not a stroke of the brush; colours are in full light."""

    pose: Pose  # in pixels of the image
    skin: Rgb
    hair: Rgb  # also of brows and beard
    hairstyle: str  # one of `_HAIRSTYLES`
    headwear: str  # one of `_HEADWEAR`; it hides most of the hair
    headwear_rgb: Rgb
    beard: float  # 0 for none to 1 for a full one; between, stubble
    glasses: str  # `none`, `clear` or `dark`
    scarf: bool  # about the neck, pulled below the mouth
    clothes: Rgb
    cover: Cover
    strokes_seed: int  # of what is drawn freely: brows, lips, creases, patterns

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
    outlines = [pose.outline(max(top, -0.5), 1.0)]
    outlines.append(pose.wrap(angles, top + 0.45 * (angles / 80) ** 2))
    if person.cover.on_face:
        outlines.append(person.cover.outline(pose))
    points = np.concatenate(outlines)
    (left, upper), (right, lower) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, upper, right, lower
