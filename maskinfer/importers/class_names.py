"""What the class names of other tools' annotations mean."""

import re
from collections.abc import Iterable

from maskinfer.errors import UsageError

# What public data sets call the two labels.
_PROPER_NAMES = (
    *("with_mask", "with_face_mask", "mask", "face_mask", "masked", "mask_on", "wearing_mask"),
    *("proper", "proper_mask", "correct", "correct_mask", "good"),
    *("mask_worn_correctly", "mask_weared_correct", "worn_correctly"),
)
_NO_MASK_NAMES = (
    *("without_mask", "without_face_mask", "no_mask", "no_face_mask", "mask_off"),
    *("unmasked", "not_masked"),
)
_WORN_INCORRECTLY_NAMES = (
    *("mask_weared_incorrect", "mask_worn_incorrectly", "worn_incorrectly", "mask_incorrect"),
    "incorrect_mask",
)
_IMPROPER_NAMES = (
    *(*_NO_MASK_NAMES, *_WORN_INCORRECTLY_NAMES),
    *("face", "none", "incorrect", "improper", "improper_mask", "wrong", "wrong_mask", "bad"),
)


def fold(class_name: str) -> str:
    """Take away what tools spell differently: case, spaces, `-` and `_`."""
    return re.sub(r"[-_\s]+", "", class_name).casefold()


def is_usual(class_name: str) -> bool:
    """Whether public data sets name a class so."""
    return fold(class_name) in map(fold, _PROPER_NAMES + _IMPROPER_NAMES)


def is_worn_incorrectly(class_name: str) -> bool | None:
    """Whether a name says that a mask leaves nose or mouth bare; None where it may mean both."""
    folded = fold(class_name)
    if folded in map(fold, _WORN_INCORRECTLY_NAMES):
        return True
    return False if folded in map(fold, _NO_MASK_NAMES) else None


def class_labels(
    proper: Iterable[str], improper: Iterable[str], ignore: Iterable[str]
) -> dict[str, bool | None]:
    """What `fold`ed class names mean: the usual ones, and before them the ones given.

    Those in `proper` mean a properly worn mask, those in `improper` any other face; those in
    `ignore` are passed over, which is None. A name with two meanings is a `UsageError`.
    """
    labels: dict[str, bool | None] = dict.fromkeys(map(fold, _PROPER_NAMES), True)
    labels.update(dict.fromkeys(map(fold, _IMPROPER_NAMES), False))
    given: dict[str, bool | None] = {}
    for names, label in ((proper, True), (improper, False), (ignore, None)):
        for name in names:
            if given.setdefault(fold(name), label) is not label:
                raise UsageError(
                    f"class {name!r} is given two meanings. Name it in one of --proper, --improper "
                    "and --ignore"
                )
    return labels | given
