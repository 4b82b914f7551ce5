"""A moving average of the weights, which answers in place of the weights that are trained."""

import copy

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .networks.network import Network

_SLOWNESS = 10  # updates after which the decay is at least a half


class MovingAverage:
    """An exponential moving average of a network's weights and statistics.

    In the first updates it follows faster, since what it began with was not trained (as
    TensorFlow's `ExponentialMovingAverage` does with its `num_updates`).
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network: Network = copy.deepcopy(network).requires_grad_(False)
        self._decay = decay
        self._own: list[Tensor] = []
        self._trained: list[Tensor] = []
        states = self.network.state_dict().values(), network.state_dict().values()
        for own, trained in zip(*states, strict=True):
            if own.is_floating_point():
                self._own.append(own)
                self._trained.append(trained)

    def update(self, updates: int) -> None:
        """Move towards the weights, which were updated so many times before this one."""
        decay = min(self._decay, (1 + updates) / (_SLOWNESS + updates))
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        move(self._own, self._trained, updates)
