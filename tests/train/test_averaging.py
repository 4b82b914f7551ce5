"""A moving average of weights, against its definition."""

import torch

from maskinfer.train.averaging import MovingAverage
from maskinfer.train.networks.network import Network


class _Scalar(Network):
    def __init__(self) -> None:
        super().__init__(64)
        self.weight = torch.nn.Parameter(torch.tensor([8.0]))
        self.register_buffer("seen", torch.tensor(0))


def test_follows_at_first_fast_and_then_at_its_decay() -> None:
    network = _Scalar()
    average = MovingAverage(network, decay=0.5)
    expected = 8.0
    for updates in range(12):
        decay = [1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, *[0.5] * 4][
            updates
        ]
        with torch.no_grad():
            network.weight.fill_(float(updates))
        network.mean.fill_(float(updates))
        average.update(updates)
        expected = decay * expected + (1 - decay) * updates
    torch.testing.assert_close(average.network.state_dict()["weight"], torch.tensor([expected]))
    assert average.network.mean[0] != network.mean[0]
    assert network.weight.item() == 11
    assert not any(weight.requires_grad for weight in average.network.parameters())
