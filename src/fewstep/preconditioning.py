r"""How a network F becomes a denoiser (Karras et al. 2022, table 1).

.. math:: D(x; \sigma) = c_{skip}\,x + c_{out}\,F(c_{in}\,x;\, c_{noise}).

Each function here returns the coefficients of one paper as functions of a float64 tensor σ > 0;
``weight`` is λ(σ) of the training loss.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch import nn

from ._checks import (
    choice,
    classes,
    count,
    describe,
    function,
    levels,
    number,
    per_sample,
    require,
    state,
)
from .processes import VP
from .schedules import Chain, iddpm_levels


@dataclass(frozen=True, eq=False)
class Preconditioning:
    """Five functions of σ (float64 tensor in, same shape out) that wrap a network into a denoiser.

    name, settings: which of the functions below made it, and its arguments, as JSON knows them.
    sigma_min, sigma_max: the noise levels that the network is made for.
    levels: the list of levels that it was trained on, decreasing; None where every level is one.
    """

    name: str
    settings: dict[str, Any]
    c_skip: Callable[[torch.Tensor], torch.Tensor]
    c_out: Callable[[torch.Tensor], torch.Tensor]
    c_in: Callable[[torch.Tensor], torch.Tensor]
    c_noise: Callable[[torch.Tensor], torch.Tensor]
    weight: Callable[[torch.Tensor], torch.Tensor]
    sigma_min: float = 0.0
    sigma_max: float = inf
    levels: torch.Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("c_skip", "c_out", "c_in", "c_noise", "weight"):
            function(name, getattr(self, name), "of a tensor of noise levels")
        low = number("sigma_min", self.sigma_min, at_least=0)
        if not (isinstance(self.sigma_max, float) and self.sigma_max == inf):
            number("sigma_max", self.sigma_max, at_least=low)


def edm(sigma_data: float = 0.5) -> Preconditioning:
    """Unit-variance inputs and targets, least amplification of errors.

    sigma_data: standard deviation of the data, > 0.
    """
    v = number("sigma_data", sigma_data, at_least=1e-100, at_most=1e100) ** 2
    return Preconditioning(
        "edm",
        {"sigma_data": float(sigma_data)},
        c_skip=lambda sigma: v / (sigma**2 + v),
        c_out=lambda sigma: sigma * v**0.5 / (sigma**2 + v).sqrt(),
        c_in=lambda sigma: 1 / (sigma**2 + v).sqrt(),
        c_noise=lambda sigma: sigma.log() / 4,
        weight=lambda sigma: (sigma**2 + v) / (sigma**2 * v),
    )


def vp(process: VP = VP(), M: int = 1000, t_min: float = 1e-5) -> Preconditioning:
    """The network predicts ε from the VP variable and c_noise = (M − 1) t (Song et al. 2021).

    process: its time is the network's.  M: number of steps of the chain it stands for.
    t_min: smallest time of training, which sets sigma_min.
    """
    require(isinstance(process, VP), "process", process, "a VP, such as VP()")
    M, t_min = count("M", M), number("t_min", t_min, above=0, at_least=process._start, below=1)
    low, high = process.sigma([t_min, 1.0]).tolist()
    return _predicts_noise(
        "vp",
        {
            "beta_d": float(process.beta_d),
            "beta_min": float(process.beta_min),
            "M": M,
            "t_min": t_min,
        },
        c_noise=lambda sigma: (M - 1) * process._time_of(sigma),
        sigma_min=low,
        sigma_max=high,
    )


def ve(sigma_min: float = 0.02, sigma_max: float = 100.0) -> Preconditioning:
    """The network predicts −ε from x itself and c_noise = ln(σ/2) (Song et al. 2021).

    sigma_min, sigma_max: range of training.
    """
    number("sigma_min", sigma_min, above=0)
    number("sigma_max", sigma_max, above=sigma_min)
    return Preconditioning(
        "ve",
        {"sigma_min": float(sigma_min), "sigma_max": float(sigma_max)},
        c_skip=torch.ones_like,
        c_out=lambda sigma: sigma,
        c_in=torch.ones_like,
        c_noise=lambda sigma: (sigma / 2).log(),
        weight=lambda sigma: 1 / sigma**2,
        sigma_min=float(sigma_min),
        sigma_max=float(sigma_max),
    )


def iddpm(M: int = 1000) -> Preconditioning:
    """As VP, with c_noise = M − 1 − j of the nearest level u_j (Nichol & Dhariwal 2021).

    M: number of levels.
    """
    u, M = iddpm_levels(M)[:-1], count("M", M)
    return _predicts_noise("iddpm", {"M": M}, lambda sigma: M - 1 - _nearest(sigma, u), u)


def chain(chain: Chain) -> Preconditioning:
    """The network predicts ε from x_t and t, as trained on a discrete chain (Ho et al. 2020).

    chain: its T levels are the network's; σ between two of them takes the nearer one's t.
    """
    require(isinstance(chain, Chain), "chain", chain, "a Chain, such as schedules.linear(1000)")
    sigmas = chain.sigmas.flip(0)[:-1]  # decreasing: of t = T … 1
    return _predicts_noise(
        "chain", {"betas": chain.betas.tolist()}, lambda s: chain.T - _nearest(s, sigmas), sigmas
    )


def _predicts_noise(
    name: str,
    settings: dict[str, Any],
    c_noise: Callable[[torch.Tensor], torch.Tensor],
    levels: torch.Tensor | None = None,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
) -> Preconditioning:
    """F sees the variance-preserving variable x/√(1 + σ²) and answers ε, so D = x − σ F."""
    if levels is not None:
        sigma_min, sigma_max = float(levels[-1]), float(levels[0])
    return Preconditioning(
        name,
        settings,
        c_skip=torch.ones_like,
        c_out=lambda sigma: -sigma,
        c_in=lambda sigma: 1 / (sigma**2 + 1).sqrt(),
        c_noise=c_noise,
        weight=lambda sigma: 1 / sigma**2,
        sigma_min=0.0 if sigma_min is None else sigma_min,
        sigma_max=inf if sigma_max is None else sigma_max,
        levels=levels,
    )


def _nearest(sigma: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Index of the level next to each σ, as float64."""
    return (sigma[..., None] - levels.to(sigma.device)).abs().argmin(-1).double()


def rebuild(name: str, settings: dict[str, Any]) -> Preconditioning:
    """The preconditioning of this name and these settings, as a file of weights holds them.

    Raises ValueError for a name or settings that are not of this module.
    """
    makers: dict[str, Callable[..., Preconditioning]] = {
        "edm": edm,
        "vp": lambda beta_d, beta_min, **rest: vp(VP(beta_d, beta_min), **rest),
        "ve": ve,
        "iddpm": iddpm,
        "chain": lambda betas: chain(Chain(betas)),
    }
    choice("name", name, tuple(makers))
    try:
        made = makers[name](**settings)
    except TypeError as error:
        allowed = f"those of {name} ({error})"
        raise ValueError(f"settings = {describe(settings)}: must be {allowed}") from error
    require(settings.keys() == made.settings.keys(), "settings", settings, f"all of {name}'s")
    return made


class Denoiser(nn.Module):
    """A network wrapped by a preconditioning: ``D(x, sigma, labels) -> E[x0 | x]``.

    network: called as ``network(c_in x, c_noise, labels)``, x float32 (B, C, …), c_noise (B,). One
    with more output channels says how many in ``network.extra_channels``.
    preconditioning: also tells ``sigma_min``, ``sigma_max`` and ``levels`` of the network.
    """

    def __init__(self, network: nn.Module, preconditioning: Preconditioning):
        super().__init__()
        require(isinstance(network, nn.Module), "network", network, "a torch.nn.Module")
        made = isinstance(preconditioning, Preconditioning)
        require(made, "preconditioning", preconditioning, "a Preconditioning, such as edm(0.5)")
        self.network, self.preconditioning = network, preconditioning
        extra = getattr(network, "extra_channels", 0)
        self.extra_channels = count("network.extra_channels", extra, 0)

    @property
    def sigma_min(self) -> float:
        """Lowest noise level of the network's training."""
        return self.preconditioning.sigma_min

    @property
    def sigma_max(self) -> float:
        """Highest noise level of the network's training."""
        return self.preconditioning.sigma_max

    @property
    def levels(self) -> torch.Tensor | None:
        """The noise levels of its training, decreasing, if a list; see ``grids.round_to``."""
        return self.preconditioning.levels

    def forward(
        self,
        x: torch.Tensor,
        sigma: torch.Tensor | float,
        labels: torch.Tensor | None = None,
        extra: bool = False,
    ) -> Any:
        """E[x0 | x], and with ``extra`` the network's further channels beside it.

        x: (B, ...), any floating type; the network sees float32, the result has the type of x.
        sigma: number or (B,), > 0.  labels: (B,) integers, -1 for no class, or None.
        Returns D (B, ...), or with ``extra`` the pair of D and (B, extra_channels, ...).
        Raises ValueError for shapes and types that do not fit.
        """
        state("x", x)
        classes("labels", labels, x)
        p, sigma = self.preconditioning, levels(sigma, x, positive=True)
        c_noise = p.c_noise(sigma).float().to(x.device).expand(len(x))
        F = self.network((per_sample(p.c_in(sigma), x) * x).float(), c_noise, labels)
        expected = (len(x), x.shape[1] + self.extra_channels, *x.shape[2:])
        if not isinstance(F, torch.Tensor):
            raise ValueError(f"network(x) = {describe(F)}: must be a tensor {expected}")
        if F.shape != expected:
            raise ValueError(f"network(x).shape = {tuple(F.shape)}: must be {expected}")
        F, more = F[:, : x.shape[1]], F[:, x.shape[1] :]
        D = per_sample(p.c_skip(sigma), x) * x + per_sample(p.c_out(sigma), x) * F.to(x.dtype)
        return (D, more) if extra else D
