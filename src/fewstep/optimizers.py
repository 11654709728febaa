"""An optimizer with which the course's small networks need fewer steps than with Adam."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ._checks import number, require, state


def orthogonalized(M: torch.Tensor) -> torch.Tensor:
    """About U Vᵀ for M = U S Vᵀ, by Newton and Schulz's iteration (Jordan et al. 2024).

    M: (..., m, n) floating.  Returns the same shape, with singular values between about 0.7 and 1.2
    for all that are not tiny beside the largest.

    Five times X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X: this maps each singular value s to
    a s + b s³ + c s⁵, and leaves U and V as they are.
    """
    state("M", M)
    a, b, c = 3.4445, -4.7750, 2.0315  # steep at 0; the published coefficients
    wide = M.shape[-2] <= M.shape[-1]
    X = M if wide else M.mT
    X = X / (torch.linalg.matrix_norm(X, keepdim=True) + 1e-7)  # then no singular value exceeds 1
    for _ in range(5):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X if wide else X.mT


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonalized average of gradients (Jordan et al. 2024).

    A weight (out, ...) counts as a matrix of ``out`` rows. Adam gives each entry its own pace;
    here each direction that the matrix maps moves equally far.
    parameters: weights between hidden layers, of two or more dimensions.  learning_rate: how far.
    momentum: of the average of gradients, Nesterov's.
    Raises ValueError for bad arguments.

    In float32: PyTorch's own Muon takes matrices only, no convolutions, and computes in bfloat16,
    for which most CPUs have no instructions.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float = 0.02, momentum: float = 0.9
    ):
        form = "weights of two or more dimensions, at least one"
        require(isinstance(parameters, Iterable), "parameters", parameters, form)
        parameters = list(parameters)
        shapes = [tuple(getattr(p, "shape", ())) for p in parameters]
        good = parameters and all(len(shape) >= 2 for shape in shapes)
        require(good, "parameters", shapes, form)
        options = {
            "lr": number("learning_rate", learning_rate, above=0),
            "momentum": number("momentum", momentum, at_least=0, below=1),
        }
        super().__init__(parameters, options)

    def _ahead(self, p: nn.Parameter, momentum: float) -> torch.Tensor:
        """Nesterov: the gradient, moved towards its average, as a matrix."""
        own = self.state[p]
        if not own:
            own["average"] = torch.zeros_like(p)
        gradient: Any = p.grad
        own["average"].lerp_(gradient, 1 - momentum)
        return torch.lerp(gradient, own["average"], momentum).reshape(len(p), -1)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; matrices of one shape are orthogonalized together."""
        require(closure is None, "closure", closure, "None")
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    alike.setdefault((len(p), p.numel() // len(p)), []).append(p)
            for (rows, columns), parameters in alike.items():
                matrices = torch.stack([self._ahead(p, group["momentum"]) for p in parameters])
                steps = orthogonalized(matrices) * max(1, rows / columns) ** 0.5
                for p, step in zip(parameters, steps):
                    p.add_(step.view_as(p), alpha=-group["lr"])


def muon(
    network: nn.Module, learning_rate: float = 0.02, adam: float = 4e-3
) -> dict[str, torch.optim.Optimizer]:
    """Muon for the weights between a network's hidden layers, Adam for all others.

    network: a module that lists such weights by ``hidden_weights()``, as ``networks.UNet`` does; or
    one that wraps it as ``network``, as a ``preconditioning.Denoiser`` does.
    learning_rate: of Muon.  adam: Adam's.  Returns two optimizers, for ``training.train`` or a
    learner.
    Raises ValueError for a network without hidden weights, and for bad rates.
    """
    inner: Any = getattr(network, "network", network)
    form = "a network with hidden_weights(), such as networks.UNet"
    known = isinstance(network, nn.Module) and hasattr(inner, "hidden_weights")
    require(known, "network", network, form)
    hidden = [p for p in inner.hidden_weights() if p.requires_grad]
    theirs = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in theirs]
    rate = number("adam", adam, above=0)
    return {
        "muon": Muon(hidden, learning_rate),
        "adam": torch.optim.Adam(rest, rate, betas=(0.9, 0.99), fused=True),
    }
