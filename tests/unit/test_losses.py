"""Training losses against their formulas."""

import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch import nn

from fewstep import losses, preconditioning, schedules
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


# --- the variational bound and the hybrid loss


class Bound(nn.Module):
    """A network whose D is that of data N(0, s²), and whose variance is what it is told."""

    def __init__(self, chain, s=1.0, v=None):
        super().__init__()
        self.extra_channels = 0 if v is None else 1
        self.chain, self.s, self.v = chain, s, v
        self.wrong = nn.Parameter(torch.zeros(()))

    def forward(self, x, c_noise, labels=None):
        a = self.chain.alpha_bars[c_noise.long()].reshape(-1, 1, 1, 1)
        # ε̂ = √(1 − ᾱ) x_t/(ᾱ s² + 1 − ᾱ)
        F = (1 - a).sqrt() * x / (a * self.s**2 + 1 - a)
        raw = [] if self.v is None else [torch.full_like(F, 2 * self.v - 1)]
        return (torch.cat([F, *raw], 1) + self.wrong).float()


def chain_of(T=10):
    return schedules.cosine(T)


def of_chain(chain, **settings):
    return Denoiser(Bound(chain, **settings), preconditioning.chain(chain))


def at_each_level(levels, n):
    """u that stands for each level in turn, n times."""
    return ((torch.arange(len(levels)) + 0.5) / len(levels)).repeat_interleave(n)


@pytest.mark.parametrize("values", [2, 17, 256])
@pytest.mark.parametrize("mean, deviation", [(0.3, 0.2), (-0.99, 1e-3), (5.0, 0.1), (0.0, 30.0)])
def test_the_bins_of_the_discretised_gaussian_have_mass_one(values, mean, deviation):
    x = torch.linspace(-1, 1, values)[:, None]
    log_variance = torch.full_like(x, 2 * math.log(deviation))
    terms = losses.discretized_log_likelihood(x, torch.full_like(x, mean), log_variance, values)
    assert terms.dtype == torch.float64 and terms.isfinite().all()
    assert float(terms.exp().sum()) == pytest.approx(1, abs=1e-6)


def test_the_discretised_gaussian_is_a_difference_of_distribution_functions():
    x = torch.linspace(-1, 1, 17)[:, None].double()
    ours = losses.discretized_log_likelihood(x, torch.zeros_like(x), torch.zeros_like(x), 17).exp()
    edges = torch.tensor([-math.inf, *[-1 + (k + 0.5) / 8 for k in range(16)], math.inf])
    theirs = torch.from_numpy(stats.norm.cdf(edges.double().numpy())).diff()[:, None]
    assert max_abs(ours, theirs) < 1e-12


def test_far_out_the_discretised_gaussian_and_its_gradient_stay_finite():
    mean = torch.full((3, 1), 40.0, requires_grad=True)
    x, low = torch.tensor([[-1.0], [0.0], [1.0]]), torch.full((3, 1), -12.0)
    terms = losses.discretized_log_likelihood(x, mean, low)
    terms.sum().backward()
    assert terms.isfinite().all() and mean.grad.isfinite().all() and bool((mean.grad[:2] < 0).all())


def test_terms_of_the_bound_by_hand():
    """KL of two Gaussians written with the chain's own posterior, in the VP variable."""
    chain, v, n = chain_of(), 0.3, 4
    levels = chain.sigmas.flip(0)[:-1]
    u = at_each_level(levels, n)
    t = (10 - torch.arange(10)).repeat_interleave(n)
    x0, noise = randn(10 * n, seed=1), randn(10 * n, seed=2)
    denoiser = of_chain(chain, s=0.5, v=v)
    ours = losses.vlb(denoiser, x0, u, noise, levels=levels).detach()
    sigma = chain.sigmas[t].float().reshape(-1, 1, 1, 1)
    D = denoiser(x0 + sigma * noise, chain.sigmas[t]).detach()
    x_t = chain.perturb(x0.double(), t, noise.double())
    mean, small = chain.posterior(x_t, x0.double(), t)
    guess, _ = chain.posterior(x_t, D.double(), t)
    betas = chain.betas[t - 1]
    clipped = torch.where(t == 1, chain.posterior(x_t, x_t, torch.full_like(t, 2))[1], small)
    log_variance = v * betas.log() + (1 - v) * clipped.log()
    for i in range(len(u)):
        if t[i] == 1:
            wide = log_variance[i].expand(1, 1, 4, 4)
            nats = -losses.discretized_log_likelihood(x0[i][None], D[i][None], wide).mean()
        else:
            q = torch.distributions.Normal(mean[i], small[i].sqrt())
            p = torch.distributions.Normal(guess[i], (0.5 * log_variance[i]).exp())
            nats = torch.distributions.kl_divergence(q, p).mean()
        assert float(ours[i]) == pytest.approx(float(nats) / math.log(2), rel=2e-3, abs=1e-5)


def randn(n, seed):
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_for_white_data_the_larger_variance_makes_the_bound_the_entropy():
    """Data N(0, I) under the exact D and v = 1: L_T + Σ L_{t−1} + L_0 is ½ ln 2πe nats.

    L_0 of a density is ½ ln(2πe β_1); the other terms by Monte Carlo, within four standard errors.
    """
    chain, n = chain_of(), 2000
    levels = chain.sigmas.flip(0)[:-1]
    x0, noise = randn(9 * n, 0), randn(9 * n, 1)
    u = at_each_level(levels, n)[: 9 * n]
    bits = losses.vlb(of_chain(chain), x0, u, noise, levels=levels, v=1.0).detach().double()
    start = losses.prior(x0[:n].double(), float(levels[0]))
    total = (start + bits.reshape(9, n).sum(0)) * math.log(2)  # not the same x0 at each t
    entropy = [0.5 * math.log(2 * math.pi * math.e * v) for v in (1.0, float(chain.betas[0]))]
    error = float(total.mean()) + entropy[1] - entropy[0]
    assert abs(error) < 4 * float(total.std()) / n**0.5
    small = losses.vlb(of_chain(chain), x0, u, noise, levels=levels, v=0.0).detach().double()
    assert float(small.reshape(9, n).mean(1).sum() - bits.reshape(9, n).mean(1).sum()) > 1


def test_the_prior_is_a_kl_of_gaussians():
    x0, sigma = randn(3, 0).double(), 7.0
    alpha_bar = 1 / (1 + sigma**2)
    q = torch.distributions.Normal(alpha_bar**0.5 * x0, (1 - alpha_bar) ** 0.5)
    p = torch.distributions.Normal(torch.zeros_like(x0), 1.0)
    nats = torch.distributions.kl_divergence(q, p).flatten(1).mean(1)
    assert max_abs(losses.prior(x0, sigma), nats / math.log(2)) < 1e-12


def learning(T=10):
    """A network that gives mean and variance through two weights of their own."""

    class Two(nn.Module):
        extra_channels = 1

        def __init__(self):
            super().__init__()
            self.mean, self.raw = nn.Parameter(torch.tensor(0.4)), nn.Parameter(torch.tensor(-0.2))

        def forward(self, x, c_noise, labels=None):
            return torch.cat([self.mean * x, self.raw * x.tanh()], 1)

    chain = chain_of(T)
    return Denoiser(Two(), preconditioning.chain(chain)), chain.sigmas.flip(0)[:-1]


def test_the_hybrid_loss_is_both_and_trains_the_mean_by_the_simple_one_alone():
    denoiser, levels = learning()
    x0, u, noise = batch(20)
    weights = denoiser.network.mean, denoiser.network.raw
    hybrid = losses.hybrid(denoiser, x0, u, noise, levels=levels)
    simple = losses.denoising(
        denoiser, x0, u, noise, levels=lambda u: losses.from_levels(u, levels)
    )
    bound = losses.vlb(denoiser, x0, u, noise, levels=levels)
    assert torch.allclose(hybrid, simple + 1e-3 * 10 * bound, rtol=1e-5)
    of_hybrid = torch.autograd.grad(hybrid.mean(), weights)
    of_simple = torch.autograd.grad(simple.mean(), weights[0])
    of_bound = torch.autograd.grad(bound.mean(), weights)
    assert max_abs(of_hybrid[0], of_simple[0]) < 1e-6 * abs(float(of_simple[0]))
    assert float(of_hybrid[1]) == pytest.approx(0.01 * float(of_bound[1]), rel=1e-5)
    assert abs(0.01 * float(of_bound[0])) > 1e-5 * abs(float(of_simple[0]))  # would not be the same


def test_the_hybrid_loss_has_finite_gradients_on_a_chain_of_a_thousand_steps():
    denoiser, levels = learning(1000)
    x0, noise = randn(1000, 0).clamp(-1, 1), randn(1000, 1)
    loss = losses.hybrid(denoiser, x0, at_each_level(levels, 1), noise, levels=levels)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert all(p.grad.isfinite() for p in denoiser.parameters())


def test_the_first_variance_of_a_chain_is_the_second_one():
    """The last term's Σ lies between β̃_2 and β_1; with v = 0 it is β̃_2."""
    chain = chain_of()
    levels = chain.sigmas.flip(0)[:-1]
    x0, noise = randn(2, 0), randn(2, 1)
    denoiser = of_chain(chain)
    ours = losses.vlb(denoiser, x0, torch.full((2,), 0.99), noise, levels=levels, v=0.0).detach()
    D = denoiser(x0 + float(levels[-1]) * noise, levels[-1]).detach()
    second = chain.posterior(x0, x0, 2)[1]
    wide = second.log().expand(x0.shape)
    nats = -losses.discretized_log_likelihood(x0, D, wide).flatten(1).mean(1)
    assert torch.allclose(ours.double(), nats / math.log(2), rtol=1e-5)


def test_the_hybrid_loss_compiles_whole():
    denoiser, levels = learning()
    x0, u, noise = batch()
    loss = partial(losses.hybrid, levels=levels)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    arguments = denoiser, x0, u, noise
    assert max_abs(compiled(*arguments), loss(*arguments)) < 1e-6
