r"""The one interface of the course, ``D(x, sigma) -> E[x0 | x]`` with x = x_0 + σ ε, and the data
for which it is known exactly.

x has shape (B, ...); sigma is a number or has shape (B,). A trained network
(``preconditioning.Denoiser``) has the same interface, so everything that samples or draws works
with either. The score follows by Tweedie's formula,
:math:`\nabla_x \log p(x; \sigma) = (D(x; \sigma) - x)/\sigma^2`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf, log, pi, prod
from typing import Any

import torch

from . import _checks
from ._checks import (
    count,
    finite,
    function,
    integers,
    levels,
    number,
    numbers,
    per_sample,
    require,
    same_shape,
    state,
)

Sigma = torch.Tensor | float


def score(denoiser: Callable, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
    """∇ log p(x; σ) = (D(x; σ) − x)/σ² (Tweedie).

    denoiser: D(x, sigma).  x: (B, ...).  sigma: number or (B,), > 0.
    """
    function("denoiser", denoiser, "D(x, sigma)")
    state("x", x)
    sigma = levels(sigma, x, positive=True)
    D = denoiser(x, sigma)
    same_shape("denoiser(x, sigma)", D, "x", x)
    return (D - x) / per_sample(sigma, x) ** 2


@dataclass(frozen=True, eq=False)
class Conditional:
    """A denoiser with labels bound to it, so that it takes x and σ only. Made by ``given``.

    Solvers count ``calls`` network calls a step for it in NFE.
    """

    denoiser: Callable
    labels: torch.Tensor | None
    guidance: float = 1.0

    def __post_init__(self) -> None:
        function("denoiser", self.denoiser, "D(x, sigma, labels)")
        guidance = number("guidance", self.guidance)
        object.__setattr__(self, "guidance", guidance)
        if self.labels is None:
            require(
                guidance in (0.0, 1.0), "guidance", guidance, "0 or 1 where there are no labels"
            )
            return
        allowed = "an integer, or integers (B,), ≥ -1, where -1 means no class"
        labels = integers("labels", self.labels, allowed)
        listed = labels.ndim <= 1 and labels.numel() > 0
        require(listed and (labels >= -1).all(), "labels", self.labels, allowed)
        object.__setattr__(self, "labels", labels)

    @property
    def calls(self) -> int:
        """Network calls a picture: 1 without guidance (scale 1, or 0: no label), else 2."""
        return 1 if self.labels is None or self.guidance in (0.0, 1.0) else 2

    @property
    def sigma_min(self) -> float:
        """Lowest noise level of the denoiser's training."""
        return getattr(self.denoiser, "sigma_min", 0.0)

    @property
    def sigma_max(self) -> float:
        """Highest noise level of the denoiser's training."""
        return getattr(self.denoiser, "sigma_max", inf)

    @property
    def levels(self) -> torch.Tensor | None:
        """The noise levels of its training, decreasing, if a list."""
        return getattr(self.denoiser, "levels", None)

    @property
    def extra_channels(self) -> int:
        """The network's output channels beside those of D."""
        return getattr(self.denoiser, "extra_channels", 0)

    def __call__(self, x: torch.Tensor, sigma: Sigma, extra: bool = False) -> Any:
        """D(x; σ, ∅) + w (D(x; σ, c) − D(x; σ, ∅)) with labels c and guidance w.

        x: (B, ...).  sigma: number or (B,).
        extra: the network's further channels beside it, unguided: those given c, if w ≠ 0.
        """
        state("x", x)
        labels = self.labels
        more = {"extra": True} if extra else {}
        if labels is not None:
            labels = labels.to(x.device)
            labels = labels.expand(len(x)) if labels.numel() == 1 else labels
            _checks.classes("labels", labels, x)
        if labels is None or self.guidance == 0:
            return self.denoiser(x, sigma, **more)
        if self.guidance == 1:
            return self.denoiser(x, sigma, labels, **more)
        # Both in one batch: a network is quicker on one large batch than on two small ones.
        sigma = levels(sigma, x).reshape(-1).expand(len(x)).repeat(2)
        both = torch.cat([torch.full_like(labels, -1), labels])
        answer = self.denoiser(torch.cat([x, x]), sigma, both, **more)
        without, within = (answer[0] if extra else answer).chunk(2)
        D = without + self.guidance * (within - without)
        return (D, answer[1].chunk(2)[1]) if extra else D


def given(denoiser: Callable, labels: Any, guidance: float = 1.0) -> Conditional:
    """The denoiser given labels, by classifier-free guidance (Ho & Salimans 2022).

    denoiser: D(x, sigma, labels) with labels (B,), -1 for no class; D(x, sigma) has no labels.
    labels: one integer for all samples, integers (B,), or None for no class.
    guidance: 1 is the plain conditional denoiser, 0 the unconditional one; others take both and
    cost two calls.
    Raises ValueError for labels that are no integers ≥ -1, or guidance without labels.
    """
    return Conditional(denoiser, labels, guidance)


def _rows(
    x: torch.Tensor,
    sigma: Sigma,
    shape: tuple[int, ...],
    positive: bool = False,
    argument: str = "sigma",
) -> tuple[torch.Tensor, torch.Tensor]:
    """x as float64 rows (B, d), and σ² as a (B, 1) column on its device."""
    state("x", x)
    if tuple(x.shape[1:]) != tuple(shape):
        raise ValueError(f"x.shape = {tuple(x.shape)}: must be {('B', *shape)}")
    variance = levels(sigma, x, positive, argument).to(x.device).reshape(-1, 1) ** 2
    return x.reshape(len(x), -1).double(), variance.expand(len(x), 1)


def _shrink(variances: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """v/(v + σ²), the share of x that is data; 1 at σ = 0, where x is data, also for v = 0."""
    total = variances + noise
    return torch.where(noise == 0, 1.0, variances / torch.where(noise == 0, 1.0, total))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Exact denoiser for data N(mean, cov).

    mean: (d,).  cov: (d, d), symmetric, no negative eigenvalue.
    """

    mean: torch.Tensor
    cov: torch.Tensor
    _variances: torch.Tensor = field(init=False, repr=False)  # eigenvalues of cov
    _axes: torch.Tensor = field(init=False, repr=False)  # and its eigenvectors, as columns

    def __post_init__(self) -> None:
        mean, cov = numbers("mean", self.mean), numbers("cov", self.cov)
        require(mean.ndim == 1 and len(mean), "mean.shape", tuple(mean.shape), "(d,), d ≥ 1")
        square = cov.shape == (len(mean), len(mean))
        require(square, "cov.shape", tuple(cov.shape), f"({len(mean)}, {len(mean)})")
        require(torch.allclose(cov, cov.T), "cov", cov, "symmetric")
        eigenvalues, axes = torch.linalg.eigh(cov)
        low, high = float(eigenvalues.min()), float(eigenvalues.max())
        require(low > -1e-12 * max(1.0, high), "cov's smallest eigenvalue", low, "non-negative")
        fixed = {"mean": mean, "cov": cov, "_variances": eigenvalues.clamp(min=0), "_axes": axes}
        for name, value in fixed.items():
            object.__setattr__(self, name, value)

    def _in_axes(self, x: torch.Tensor, sigma: Sigma) -> tuple[torch.Tensor, ...]:
        """x − mean along the axes of cov, (B, d); the data's variance along each; σ², (B, 1)."""
        rows, noise = _rows(x, sigma, self.mean.shape)
        mean, variances, axes = (v.to(x.device) for v in (self.mean, self._variances, self._axes))
        return (rows - mean) @ axes, variances, noise

    def _from_axes(self, coordinates: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return (self.mean.to(x.device) + coordinates @ self._axes.to(x.device).T).to(x.dtype)

    def __call__(self, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        """E[x0 | x] = mean + cov (cov + σ²)⁻¹ (x − mean).

        x: (B, d).  sigma: number or (B,), ≥ 0.
        """
        coordinates, variances, noise = self._in_axes(x, sigma)
        return self._from_axes(coordinates * _shrink(variances, noise), x)

    def flow(self, x: torch.Tensor, sigma: Sigma, sigma_next: Sigma) -> torch.Tensor:
        """The exact solution of the probability-flow ODE dx/dσ = (x − D)/σ.

        x: (B, d) at ``sigma``.  sigma, sigma_next: number or (B,).  Returns x at ``sigma_next``.
        """
        coordinates, variances, before = self._in_axes(x, sigma)
        after = _rows(x, sigma_next, self.mean.shape, argument="sigma_next")[1]
        total = variances + before  # 0 only where x is the mean along this axis
        ratio = (variances + after) / torch.where(total == 0, 1.0, total)
        return self._from_axes(coordinates * ratio.sqrt(), x)

    def log_density(self, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        """log p(x; σ), (B,); x as in the call."""
        coordinates, variances, noise = self._in_axes(x, sigma)
        total = variances + noise
        return -0.5 * (coordinates**2 / total + torch.log(2 * pi * total)).sum(1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """``n`` draws from the data distribution, (n, d) float64."""
        size = (count("n", n), len(self.mean))
        _checks.generator("generator", generator)
        noise = torch.randn(*size, dtype=torch.float64, generator=generator)
        return self.mean + (noise * self._variances.sqrt()) @ self._axes.T


@dataclass(frozen=True, eq=False)
class Mixture:
    """Exact denoiser for a mixture of K isotropic Gaussians.

    means: (K, d).  variances: (K,) or one number, ≥ 0; 0 is a point mass.
    weights: (K,), positive, of sum 1.
    """

    means: torch.Tensor
    variances: torch.Tensor
    weights: torch.Tensor
    _has_points: bool = field(init=False, repr=False)  # a component of variance 0

    def __post_init__(self) -> None:
        means = numbers("means", self.means)
        matrix = means.ndim == 2 and means.numel() > 0
        require(matrix, "means.shape", tuple(means.shape), "(K, d) with K, d ≥ 1")
        fixed: dict[str, Any] = {"means": means}
        for name in ("variances", "weights"):
            value = numbers(name, getattr(self, name))
            value = value.expand(len(means)) if value.ndim == 0 else value
            fits = value.shape == means.shape[:1]
            require(fits, f"{name}.shape", tuple(value.shape), f"({len(means)},)")
            fixed[name] = value
        require((fixed["variances"] >= 0).all(), "variances", fixed["variances"], "non-negative")
        w = fixed["weights"]
        shares = (w > 0).all() and abs(float(w.sum()) - 1) < 1e-6
        require(shares, "weights", w, "positive and of sum 1")
        fixed |= {"weights": w / w.sum(), "_has_points": bool((fixed["variances"] == 0).any())}
        for name, value in fixed.items():
            object.__setattr__(self, name, value)

    def _log_joint(self, rows: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """log w_k N(x; μ_k, v_k + σ²), (B, K)."""
        means, variances, weights = self._beside(rows)
        total = variances + noise
        # Direct differences: ‖x‖² − 2 x·μ + ‖μ‖² would cancel at small σ.
        distance = (rows[:, None] - means).square().sum(-1)
        return torch.log(weights) - 0.5 * (
            distance / total + rows.shape[1] * torch.log(2 * pi * total)
        )

    def _beside(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.means.to(x.device), self.variances.to(x.device), self.weights.to(x.device)

    def __call__(self, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        """E[x0 | x] = Σ_k p(k | x) [μ_k + v_k/(v_k + σ²) (x − μ_k)].

        x: (B, d).  sigma: number or (B,); > 0 if a component is a point.
        """
        rows, noise = _rows(x, sigma, self.means.shape[1:], self._has_points)
        weights = torch.softmax(self._log_joint(rows, noise), dim=1)
        means, variances, _ = self._beside(x)
        shrink = _shrink(variances, noise)
        mean = (weights * (1 - shrink)) @ means + (weights * shrink).sum(1, keepdim=True) * rows
        return mean.to(x.dtype)

    def log_density(self, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        """log p(x; σ), (B,); x as in the call."""
        rows, noise = _rows(x, sigma, self.means.shape[1:], self._has_points)
        return torch.logsumexp(self._log_joint(rows, noise), dim=1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """``n`` draws from the data distribution, (n, d) float64."""
        count("n", n)
        _checks.generator("generator", generator)
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=generator)
        return self.means[component] + self.variances[component, None].sqrt() * noise


@dataclass(frozen=True, eq=False)
class DataSet:
    """Exact denoiser of a data set: a softmax average of its points (Karras et al. 2022, B.3).

    Works in float64, because at small σ the distances are divided by a tiny σ².

    points: (N, ...), floating, finite.  chunk: points at a time, to bound memory.
    """

    points: torch.Tensor
    chunk: int = 8192
    _half_squares: torch.Tensor = field(init=False, repr=False)  # ½ ‖y_i‖²

    def __post_init__(self) -> None:
        state("points", self.points)
        require(
            self.points.numel() > 0, "points.shape", tuple(self.points.shape), "(N, ...), N ≥ 1"
        )
        finite("points", self.points)
        count("chunk", self.chunk)
        rows = self.points.reshape(len(self.points), -1).double()
        object.__setattr__(self, "_half_squares", 0.5 * rows.square().sum(1))

    def _chunks(self, device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        rows = self.points.reshape(len(self.points), -1)
        for start in range(0, len(rows), self.chunk):
            part = slice(start, start + self.chunk)
            yield rows[part].to(device).double(), self._half_squares[part].to(device)

    def _accumulate(
        self, rows: torch.Tensor, variance: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """log Σ_i exp(−‖x − y_i‖²/2σ²) up to exp(−‖x‖²/2σ²), and the softmax mean of the y_i.

        Chunk by chunk: sum and mean so far are rescaled whenever a larger logit turns up.
        """
        top = torch.full_like(variance, -torch.inf)
        total, mean = torch.zeros_like(variance), torch.zeros_like(rows)
        for points, half_squares in self._chunks(rows.device):
            logits = torch.addmm(-half_squares, rows, points.T) / variance  # (B, chunk)
            new_top = torch.maximum(top, logits.detach().amax(1, keepdim=True))
            weights = torch.exp(logits - new_top)
            keep = torch.exp(top - new_top)
            total = keep * total + weights.sum(1, keepdim=True)
            mean, top = keep * mean + weights @ points, new_top
        return top + total.log(), mean / total

    def __call__(self, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        """E[x0 | x] = Σ_i softmax_i(−‖x − y_i‖²/2σ²) y_i.

        x: (B, ...).  sigma: number or (B,), > 0: at σ = 0 only the points have density.
        """
        rows, variance = _rows(x, sigma, self.points.shape[1:], positive=True)
        return self._accumulate(rows, variance)[1].reshape(x.shape).to(x.dtype)

    def log_density(self, x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        """log p(x; σ), (B,); x as in the call."""
        rows, variance = _rows(x, sigma, self.points.shape[1:], positive=True)
        log_sum = self._accumulate(rows, variance)[0] - 0.5 * rows.square().sum(1, True) / variance
        log_norm = 0.5 * prod(self.points.shape[1:]) * torch.log(2 * pi * variance)
        return (log_sum - log_norm - log(len(self.points))).squeeze(1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """``n`` points, drawn with replacement, (n, ...)."""
        count("n", n)
        _checks.generator("generator", generator)
        return self.points[torch.randint(len(self.points), (n,), generator=generator)]
