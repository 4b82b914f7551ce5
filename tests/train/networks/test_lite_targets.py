import torch

from maskinfer.train.networks.lite_targets import STRIDE, dense_goals
from maskinfer.train.networks.network import Targets

CELLS = 12


def _targets(faces: list[tuple[list[float], float, bool]]) -> Targets:
    boxes = torch.tensor([[box for box, _, _ in faces]])
    proper = torch.tensor([[label for _, label, _ in faces]])
    learnt = torch.tensor([[known for _, _, known in faces]])
    unknown = torch.full_like(proper, -1)
    return Targets(boxes[:, 0], proper[:, 0], boxes, proper, learnt, learnt, unknown)


def test_goals_are_hottest_where_each_centre_lies() -> None:
    goals = dense_goals(
        _targets([([8, 8, 16, 16], 1.0, True), ([40, 50, 40, 40], 0.0, True)]), CELLS
    )
    assert (goals.heat == 1).nonzero().tolist() == [[0, 2, 2], [0, 70 // STRIDE, 60 // STRIDE]]
    assert goals.boxes_xyxy[0, 2, 2].tolist() == [8, 8, 24, 24]
    assert goals.boxes_xyxy[0, 8, 7].tolist() == [40, 50, 80, 90]
    assert goals.proper[0, 2, 2] == 1
    assert goals.proper[0, 8, 7] == 0
    assert goals.counts.all()


def test_goals_near_a_centre_share_its_box_and_those_far_away_count_nothing() -> None:
    goals = dense_goals(_targets([([0, 0, 96, 96], 1.0, True)]), CELLS)
    assert 0.3 < goals.weight[0, 6, 7] < 1
    assert goals.weight[0, 0, 0] == 0
    assert goals.boxes_xyxy[0, 6, 7].tolist() == [0, 0, 96, 96]


def test_goals_pass_over_faces_that_are_cut_off_or_tiny() -> None:
    goals = dense_goals(
        _targets([([0, 0, 40, 40], 1.0, False), ([64, 64, 32, 3], 1.0, True)]), CELLS
    )
    assert goals.heat.max() == 0
    assert goals.weight.max() == 0
    assert goals.counts[0, :5, :5].max() == 0  # neither a face nor none
    assert goals.counts[0, 0, 5] == 1


def test_goals_of_no_face_are_cold() -> None:
    goals = dense_goals(_targets([([0, 0, 0, 0], 0.0, False)]), CELLS)
    assert goals.heat.max() == 0
    assert goals.counts.min() == 1
