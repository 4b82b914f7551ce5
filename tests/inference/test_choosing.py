from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_model import METADATA

from maskinfer.errors import UsageError
from maskinfer.inference.choosing import RIVAL_SCORE, Choice, FaceRule, choose, is_unsure
from maskinfer.runtime.model_file import WorkingPoint

CANVAS = 200
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(lambda s: sorted(s, reverse=True))
RULES = st.sampled_from(["main", "left", "largest", "best"])

# Best first: in the middle; left of it, large; leftmost and small; too faint to be a rival.
BOXES = [(90, 50, 30, 30), (60, 20, 60, 60), (5, 80, 10, 10), (0, 0, 100, 100)]
SCORE = [0.9, 0.86, 0.5, 0.3]


@pytest.mark.parametrize(
    ("face", "indices"),
    [("best", [0]), ("main", [1]), ("left", [2]), ("largest", [1]), ("all", [0, 1, 2, 3])],
)
def test_each_rule_has_its_face(face: FaceRule, indices: list[int]) -> None:
    assert choose(BOXES, SCORE, Choice(face, 0.2, 0.5), CANVAS).tolist() == indices


def test_main_prefers_a_face_further_left_only_where_it_scores_nearly_as_well() -> None:
    choice = Choice("main", 0.0, 0.5)
    for score, index in ((0.7, 1), (0.5, 0)):  # half a canvas is worth 0.2
        boxes = [(110, 0, 9, 9), (10, 0, 9, 9)]
        assert choose(boxes, [0.8, score], choice, CANVAS).tolist() == [index]


@given(scores=SCORES, face=RULES, min_score=st.floats(0, 1), seed=st.integers(0, 99))
def test_one_face_is_chosen_where_any_scores_enough(
    scores: list[float], face: FaceRule, min_score: float, seed: int
) -> None:
    boxes = np.random.default_rng(seed).uniform(0, 99, (len(scores), 4))
    chosen = choose(boxes, scores, Choice(face, min_score, 0.5), CANVAS).tolist()
    assert len(chosen) == (scores[0] >= min_score and scores[0] > 0)
    if chosen:
        assert scores[chosen[0]] >= min(min(RIVAL_SCORE, scores[0]), max(min_score, RIVAL_SCORE))
    everyone = choose(boxes, scores, Choice("all", min_score, 0.5), CANVAS).tolist()
    assert everyone == [i for i, s in enumerate(scores) if s >= min_score and s > 0]
    assert set(chosen) <= set(everyone)


def test_figures_that_are_not_given_are_the_model_s() -> None:
    metadata = replace(METADATA, one_face=WorkingPoint(0.1, 0.2), all_faces=WorkingPoint(0.3, 0.4))
    assert Choice.of(metadata) == Choice("main", 0.1, 0.2)
    assert Choice.of(metadata, "all") == Choice("all", 0.3, 0.4)
    assert Choice.of(metadata, "left", 0.0, 1.0) == Choice("left", 0.0, 1.0)
    with pytest.raises(UsageError, match="--face all: this tiny finds one face a photo"):
        Choice.of(replace(metadata, faces=1), "all")


@pytest.mark.parametrize(
    ("threshold", "unsure", "sure"),
    [
        (0.5, (0.3, 0.5, 0.7), (0.29, 0.71)),
        (0.86, (0.66, 0.9), (0.65, 0.93, 1.0)),
        (0.05, (0.04, 0.2), (0.0, 0.02, 0.3)),
    ],
)
def test_an_answer_near_certainty_is_never_unsure(
    threshold: float, unsure: tuple[float, ...], sure: tuple[float, ...]
) -> None:
    assert all(is_unsure(probability, threshold) for probability in unsure)
    assert not any(is_unsure(probability, threshold) for probability in sure)
