"""Training losses against their formulas."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from fewstep import losses, preconditioning
from fewstep.preconditioning import Denoiser
from fewstep.processes import VP

U = torch.linspace(0.0005, 0.9995, 1000)


def max_abs(a, b):
    return float((torch.as_tensor(a) - b).detach().abs().max())


# --- distributions of the noise level


def test_lognormal_has_its_quantiles():
    quantiles = stats.lognorm(s=1.2, scale=math.exp(-1.2)).ppf(U.double().numpy())
    assert max_abs(losses.lognormal(U) / torch.from_numpy(quantiles), torch.ones(1000)) < 1e-9
    assert float(losses.lognormal(torch.tensor([0.5]))) == pytest.approx(math.exp(-1.2))
    assert float(losses.lognormal(torch.tensor([0.5]), mean=0.3, std=2.0)) == pytest.approx(
        math.exp(0.3)
    )


def test_log_uniform_has_its_quantiles():
    quantiles = stats.loguniform(0.02, 100).ppf(U.double().numpy())
    assert max_abs(losses.log_uniform(U) / torch.from_numpy(quantiles), torch.ones(1000)) < 1e-9


def test_uniform_in_time_is_uniform_in_time():
    t = VP().sigma_inv(losses.uniform_in_time(U))
    assert max_abs(t, 1e-5 + (1 - 1e-5) * U.double()) < 1e-9


@pytest.mark.parametrize("levels", [losses.lognormal, losses.log_uniform, losses.uniform_in_time])
def test_levels_are_float64_positive_and_increasing_up_to_the_ends(levels):
    """Also at the outermost u that training draws, 2⁻²⁴ and 1 − 2⁻²⁴."""
    u = torch.cat([torch.tensor([2.0**-24]), U, torch.tensor([1 - 2.0**-24])])
    sigma = levels(u)
    assert sigma.dtype == torch.float64 and sigma.shape == u.shape
    assert bool(torch.isfinite(sigma).all() and (sigma > 0).all() and (sigma.diff() > 0).all())


# --- the loss


class Linear(nn.Module):
    """The smallest network with a weight: F = w x."""

    def __init__(self, w=0.3):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.labels = None

    def forward(self, x, c_noise, labels=None):
        self.labels = labels
        return self.w * x


def batch(n=6):
    generator = torch.Generator().manual_seed(0)
    x0 = 0.5 * torch.randn(n, 1, 4, 4, generator=generator)
    return x0, torch.rand(n, generator=generator), torch.randn(n, 1, 4, 4, generator=generator)


def test_loss_by_hand():
    """λ ‖D − x0‖²/dim, one number per sample."""
    x0, u, noise = batch()
    denoiser = Denoiser(Linear(), preconditioning.edm(0.5))
    loss = losses.edm(denoiser, x0, u, noise).detach()
    assert loss.shape == (6,) and loss.dtype == torch.float32
    for i in range(6):
        sigma = math.exp(-1.2 + 1.2 * stats.norm.ppf(float(u[i])))
        D = denoiser((x0 + sigma * noise)[i : i + 1], sigma)[0].detach()
        weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
        assert float(loss[i]) == pytest.approx(
            weight * float((D - x0[i]).square().mean()), rel=1e-4
        )


@pytest.mark.parametrize(
    "p",
    [preconditioning.edm(0.5), preconditioning.vp(), preconditioning.ve(), preconditioning.iddpm()],
    ids=lambda p: p.name,
)
def test_loss_is_the_squared_error_of_the_network(p):
    """As λ c_out² = 1, the loss is ‖F − target‖²/dim with target = (x0 − c_skip x)/c_out; for
    ε-prediction, the noise itself.
    """
    x0, u, noise = batch()
    sigma = losses.log_uniform(u)[:, None, None, None]
    loss = losses.denoising(Denoiser(Linear(), p), x0, u, noise, levels=losses.log_uniform).detach()
    x = x0 + sigma * noise
    target = (x0 - p.c_skip(sigma) * x) / p.c_out(sigma)
    F = 0.3 * p.c_in(sigma) * x
    assert max_abs(loss / (F - target).square().flatten(1).mean(1), torch.ones(6)) < 1e-3
    if p.name in ("vp", "iddpm"):
        assert max_abs(target, noise) < 1e-4


def test_an_untrained_network_has_loss_one_on_the_digits():
    """F = 0 and unit-variance targets: the loss starts at 1 at every noise level, which is why
    training is well scaled.
    """
    from sklearn.datasets import load_digits

    x0 = torch.from_numpy(load_digits().data).float() / 8 - 1
    x0 = x0 - x0.mean()
    denoiser = Denoiser(Linear(0.0), preconditioning.edm(float(x0.std())))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    for u in (0.01, 0.2, 0.5, 0.8, 0.99):
        loss = losses.edm(denoiser, x0, torch.full((len(x0),), u), noise)
        assert float(loss.detach().mean()) == pytest.approx(1, abs=0.02)


def test_loss_draws_nothing_and_passes_gradients_and_labels():
    x0, u, noise = batch()
    denoiser, labels = Denoiser(Linear(), preconditioning.edm(0.5)), torch.arange(6)
    state = torch.get_rng_state()
    first = losses.edm(denoiser, x0, u, noise, labels)
    assert max_abs(first, losses.edm(denoiser, x0, u, noise, labels)) == 0
    assert torch.equal(torch.get_rng_state(), state) and denoiser.network.labels is labels
    first.mean().backward()
    assert float(denoiser.network.w.grad.abs()) > 0


def test_loss_is_smallest_at_the_best_linear_network():
    """For N(0, σ_data²) the exact D is c_skip x: the best F is 0 at every noise level, and the
    loss has its minimum there.
    """
    x0, u, noise = batch(4000)
    mean = lambda w: float(
        losses.edm(Denoiser(Linear(w), preconditioning.edm(0.5)), x0, u, noise).detach().mean()
    )
    assert mean(0.0) < mean(0.1) and mean(0.0) < mean(-0.1)
