r"""The one interface of the course, ``D(x, sigma) -> E[x0 | x]`` with x = x_0 + σ ε, and the data
for which it is known exactly.

``x`` has shape (B, ...); ``sigma`` is a number or has shape (B,). A trained network
(``preconditioning.Denoiser``) has the same interface, so everything that samples or draws works
with either. The score follows by Tweedie's formula, :math:`\nabla_x \log p(x; \sigma) = (D(x;
\sigma) - x)/\sigma^2`.
"""

from dataclasses import dataclass
from math import log, pi, prod

import torch

from ._checks import count, numbers, per_sample, require, state


def score(denoiser, x: torch.Tensor, sigma) -> torch.Tensor:
    """∇ log p(x; σ) = (D(x; σ) − x)/σ² (Tweedie). Shapes as in ``denoiser``; σ > 0."""
    sigma = _levels(sigma, x)
    require(bool((sigma > 0).all()), "sigma", sigma.tolist(), "positive")
    return (denoiser(x, sigma) - x) / per_sample(sigma, x) ** 2


def _levels(sigma, x) -> torch.Tensor:
    """σ as a float64 tensor of shape () or (B,), checked."""
    sigma = numbers("sigma", sigma)
    require(bool((sigma >= 0).all()), "sigma", sigma.tolist(), "non-negative")
    require(
        sigma.numel() == 1 or sigma.shape == x.shape[:1],
        "sigma.shape",
        tuple(sigma.shape),
        f"() or ({x.shape[0]},)",
    )
    return sigma


def _rows(x, sigma, shape):
    """``x`` as float64 rows (B, d) and σ² as a (B, 1) column, on the device of ``x``."""
    state("x", x)
    require(
        tuple(x.shape[1:]) == tuple(shape),
        "x.shape",
        tuple(x.shape),
        f"(B, {', '.join(map(str, shape))})",
    )
    variance = _levels(sigma, x).to(x.device).reshape(-1, 1) ** 2
    return x.reshape(len(x), -1).double(), variance.expand(len(x), 1)


def _beside(x, *tensors):
    """The tensors on the device of ``x``."""
    return [tensor.to(x.device) for tensor in tensors]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Exact denoiser for data N(mean, cov).

    ``mean``: (d,); ``cov``: (d, d), symmetric, no negative eigenvalue.
    """

    mean: torch.Tensor
    cov: torch.Tensor

    def __post_init__(self):
        mean, cov = numbers("mean", self.mean), numbers("cov", self.cov)
        require(mean.ndim == 1, "mean.shape", tuple(mean.shape), "(d,)")
        require(
            cov.shape == (len(mean),) * 2,
            "cov.shape",
            tuple(cov.shape),
            f"({len(mean)}, {len(mean)})",
        )
        require(bool(torch.allclose(cov, cov.T)), "cov", cov.tolist(), "symmetric")
        eigenvalues, axes = torch.linalg.eigh(cov)
        require(
            float(eigenvalues.min()) > -1e-12 * max(1.0, float(eigenvalues.max())),
            "cov's smallest eigenvalue",
            float(eigenvalues.min()),
            "non-negative",
        )
        for name, value in dict(
            mean=mean, cov=cov, _variances=eigenvalues.clamp(min=0), _axes=axes
        ).items():
            object.__setattr__(self, name, value)

    def _in_axes(self, x, sigma):
        """x − mean along the axes of cov, (B, d); the data's variance along each, (d,); σ², (B,
        1).
        """
        rows, noise = _rows(x, sigma, self.mean.shape)
        mean, variances, axes = _beside(x, self.mean, self._variances, self._axes)
        require(bool((variances + noise > 0).all()), "sigma", 0, "positive for a singular cov")
        return (rows - mean) @ axes, variances, noise

    def _from_axes(self, coordinates, x):
        mean, axes = _beside(x, self.mean, self._axes)
        return (mean + coordinates @ axes.T).to(x.dtype)

    def __call__(self, x, sigma):
        """E[x0 | x] = mean + cov (cov + σ²)⁻¹ (x − mean)."""
        coordinates, variances, noise = self._in_axes(x, sigma)
        return self._from_axes(coordinates * variances / (variances + noise), x)

    def flow(self, x, sigma, sigma_next):
        """The exact solution of the probability-flow ODE dx/dσ = (x − D)/σ from ``x`` at σ to
        ``sigma_next``.
        """
        coordinates, variances, before = self._in_axes(x, sigma)
        after = _rows(x, sigma_next, self.mean.shape)[1]
        return self._from_axes(
            coordinates * torch.sqrt((variances + after) / (variances + before)), x
        )

    def log_density(self, x, sigma):
        """log p(x; σ), shape (B,)."""
        coordinates, variances, noise = self._in_axes(x, sigma)
        total = variances + noise
        return -0.5 * (coordinates**2 / total + torch.log(2 * pi * total)).sum(1)

    def sample(self, n: int, generator=None):
        """``n`` draws from the data distribution, (n, d) float64."""
        noise = torch.randn(n, len(self.mean), dtype=torch.float64, generator=generator)
        return self.mean + (noise * self._variances.sqrt()) @ self._axes.T


@dataclass(frozen=True, eq=False)
class Mixture:
    """Exact denoiser for a mixture of K isotropic Gaussians.

    ``means``: (K, d); ``variances``, ``weights``: (K,).

    A variance of 0 is a point mass. Weights are positive and sum to one.
    """

    means: torch.Tensor
    variances: torch.Tensor
    weights: torch.Tensor

    def __post_init__(self):
        means = numbers("means", self.means)
        require(
            means.ndim == 2 and len(means) > 0,
            "means.shape",
            tuple(means.shape),
            "(K, d) with K >= 1",
        )
        variances, weights = (
            numbers(n, getattr(self, n)).expand(len(means))
            if torch.as_tensor(getattr(self, n)).ndim == 0
            else numbers(n, getattr(self, n))
            for n in ("variances", "weights")
        )
        for name, value in (("variances", variances), ("weights", weights)):
            require(
                value.shape == means.shape[:1],
                f"{name}.shape",
                tuple(value.shape),
                f"({len(means)},)",
            )
        require(bool((variances >= 0).all()), "variances", variances.tolist(), "non-negative")
        require(
            bool((weights > 0).all()) and abs(float(weights.sum()) - 1) < 1e-6,
            "weights",
            weights.tolist(),
            "positive and of sum 1",
        )
        for name, value in dict(
            means=means, variances=variances, weights=weights / weights.sum()
        ).items():
            object.__setattr__(self, name, value)

    def _log_joint(self, rows, noise):  # log w_k N(x; μ_k, v_k + σ²), shape (B, K)
        means, variances, weights = _beside(rows, self.means, self.variances, self.weights)
        total = variances + noise
        require(bool((total > 0).all()), "sigma", 0, "positive where a component has variance 0")
        # Direct differences: ‖x‖² − 2 x·μ + ‖μ‖² would cancel at small σ.
        distance = (rows[:, None] - means).square().sum(-1)
        return torch.log(weights) - 0.5 * (
            distance / total + rows.shape[1] * torch.log(2 * pi * total)
        )

    def __call__(self, x, sigma):
        """E[x0 | x] = Σ_k p(k | x) [μ_k + v_k/(v_k + σ²) (x − μ_k)]."""
        rows, noise = _rows(x, sigma, self.means.shape[1:])
        weights = torch.softmax(self._log_joint(rows, noise), dim=1)
        means, variances = _beside(x, self.means, self.variances)
        shrink = variances / (variances + noise)
        mean = (weights * (1 - shrink)) @ means + (weights * shrink).sum(1, keepdim=True) * rows
        return mean.to(x.dtype)

    def log_density(self, x, sigma):
        """log p(x; σ), shape (B,)."""
        return torch.logsumexp(self._log_joint(*_rows(x, sigma, self.means.shape[1:])), dim=1)

    def sample(self, n: int, generator=None):
        """``n`` draws from the data distribution, (n, d) float64."""
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=generator)
        return self.means[component] + self.variances[component, None].sqrt() * noise


@dataclass(frozen=True, eq=False)
class DataSet:
    """Exact denoiser for the empirical distribution of ``points`` (N, ...): a softmax average of
    the points themselves.

    Works in float64, because at small σ the distances are divided by a tiny σ²; ``chunk`` points at
    a time, to bound memory. (Karras et al. 2022, appendix B.3.)
    """

    points: torch.Tensor
    chunk: int = 8192

    def __post_init__(self):
        require(
            isinstance(self.points, torch.Tensor)
            and self.points.ndim >= 2
            and len(self.points) > 0,
            "points",
            tuple(getattr(self.points, "shape", ())),
            "a tensor (N, ...) of at least one point",
        )
        state("points", self.points)
        count("chunk", self.chunk)
        object.__setattr__(
            self,
            "_half_squares",
            0.5 * self.points.reshape(len(self.points), -1).double().square().sum(1),
        )

    def _chunks(self, device):
        rows = self.points.reshape(len(self.points), -1)
        for start in range(0, len(rows), self.chunk):
            part = slice(start, start + self.chunk)
            yield rows[part].to(device).double(), self._half_squares[part].to(device)

    def _accumulate(self, rows, variance):
        """Running log Σ_i exp(−‖x − y_i‖²/2σ²) up to the factor exp(−‖x‖²/2σ²), and the softmax
        mean of the y_i.
        """
        require(
            bool((variance > 0).all()),
            "sigma",
            0,
            "positive: at σ = 0 only the points themselves have density",
        )
        top = torch.full((len(rows), 1), -torch.inf, dtype=torch.float64, device=rows.device)
        total, mean = torch.zeros_like(top), torch.zeros_like(rows)
        for points, half_squares in self._chunks(rows.device):
            logits = torch.addmm(-half_squares, rows, points.T).div_(variance)  # (B, chunk)
            new_top = torch.maximum(top, logits.detach().amax(1, keepdim=True))
            weights = logits.sub_(new_top).exp_()
            keep = torch.exp(top - new_top)
            total, mean, top = (
                keep * total + weights.sum(1, keepdim=True),
                keep * mean + weights @ points,
                new_top,
            )
        return top + total.log(), mean / total

    def __call__(self, x, sigma):
        """E[x0 | x] = Σ_i softmax_i(−‖x − y_i‖²/2σ²) y_i."""
        return (
            self._accumulate(*_rows(x, sigma, self.points.shape[1:]))[1]
            .reshape(x.shape)
            .to(x.dtype)
        )

    def log_density(self, x, sigma):
        """log p(x; σ), shape (B,)."""
        rows, variance = _rows(x, sigma, self.points.shape[1:])
        log_sum = (
            self._accumulate(rows, variance)[0]
            - 0.5 * rows.square().sum(1, keepdim=True) / variance
        )
        return (
            log_sum
            - 0.5 * prod(self.points.shape[1:]) * torch.log(2 * pi * variance)
            - log(len(self.points))
        ).squeeze(1)

    def sample(self, n: int, generator=None):
        """``n`` points, drawn with replacement."""
        return self.points[torch.randint(len(self.points), (n,), generator=generator)]
