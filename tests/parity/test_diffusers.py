"""Parity with diffusers' schedulers: the same noise levels, the same exact denoiser, the same
start, and so the same samples.

The schedulers keep their levels in float32. Grids are compared with that in mind; for the solvers,
ours is given the scheduler's own levels, so that what is compared is the algorithm. Every
comparison is by largest absolute difference.
"""

from functools import partial

import pytest
import torch

pytest.importorskip("diffusers")

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
)

from fewstep import grids, preconditioning, schedules
from fewstep.denoisers import Mixture
from fewstep.processes import VP
from fewstep.solvers import ancestral, ddim, dpmpp_2m, euler, heun, learned, sample

D = Mixture(
    torch.tensor([[-1.0, 0.0], [0.8, 0.6]]), torch.tensor([0.02, 0.1]), torch.tensor([0.4, 0.6])
)
PROCESS = VP(
    beta_d=25.0
)  # only its scale matters here, s = 1/√(1 + σ²), and that it reaches the schedulers' highest level


def max_abs(a, b):
    return float((a - b).abs().max())


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def vp_scale(sigma):
    return 1 / (1 + sigma**2) ** 0.5


def noise_in(x, x0, sigma):
    """What an ε-network returns for the VP state x, if its x_0 is x0."""
    return (x / vp_scale(sigma) - x0) / sigma


def chain_levels(scheduler):
    """σ at the scheduler's steps of its chain, then 0."""
    alpha_bar = scheduler.alphas_cumprod.double()[scheduler.timesteps]
    return torch.cat([((1 - alpha_bar) / alpha_bar).sqrt(), torch.zeros(1).double()])


# --- schedules


@pytest.mark.parametrize(
    "name, chain",
    [
        ("linear", schedules.linear(1000)),
        ("scaled_linear", schedules.quadratic(1000)),
        ("squaredcos_cap_v2", schedules.cosine(1000)),
        ("sigmoid", schedules.sigmoid_beta(1000)),
    ],
)
def test_betas(name, chain):
    scheduler = DDPMScheduler(1000, beta_schedule=name)
    assert max_abs(chain.betas, scheduler.betas.double()) < 1e-7
    assert max_abs(chain.alpha_bars[1:], scheduler.alphas_cumprod.double()) < 1e-5


# --- grids


@pytest.mark.parametrize("n", [2, 5, 18, 100])
def test_edm_grid(n):
    for scheduler in (EDMEulerScheduler(), EDMDPMSolverMultistepScheduler()):
        scheduler.set_timesteps(n)
        theirs, ours = scheduler.sigmas.double(), grids.edm(n)
        assert theirs.shape == ours.shape and theirs[-1] == ours[-1] == 0
        assert max_abs((theirs / ours)[:-1], torch.ones(n)) < 1e-5


@pytest.mark.parametrize("n", [2, 5, 18, 100])
def test_edm_grid_between_the_levels_of_a_chain(n):
    """diffusers' ``use_karras_sigmas`` runs from σ_T to σ_1 of its chain."""
    scheduler = EulerDiscreteScheduler(1000, use_karras_sigmas=True)
    scheduler.set_timesteps(n)
    chain = schedules.linear(1000)
    ours = grids.edm(n, float(chain.sigmas[1]), float(chain.sigmas[-1]))
    assert max_abs((scheduler.sigmas.double() / ours)[:-1], torch.ones(n)) < 3e-4


@pytest.mark.parametrize("n", [2, 10, 50, 1000])
def test_levels_of_a_respaced_chain(n):
    """Spacing "linspace": steps from T to 1 in equal strides, rounded.

    (For n = 1 diffusers takes the lowest level, ours the highest.)
    """
    scheduler = DDIMScheduler(1000, timestep_spacing="linspace")
    scheduler.set_timesteps(n)
    theirs, ours = chain_levels(scheduler), grids.respaced(n, schedules.linear(1000))
    assert max_abs((theirs / ours)[:-1], torch.ones(n)) < 1e-3


# --- DDIM and DDPM, on a chain


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 10, 50])
def test_ddim(prediction, eta, n):
    scheduler = DDIMScheduler(
        1000, clip_sample=False, prediction_type=prediction, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(n)
    sigmas, x = chain_levels(scheduler), randn(64, 2)
    ours = sample(
        D, x, sigmas, partial(ddim, eta=eta), PROCESS, generator=torch.Generator().manual_seed(7)
    ).x
    generator = torch.Generator().manual_seed(7)
    for t, sigma in zip(scheduler.timesteps, sigmas):
        x0 = D(x / vp_scale(sigma), sigma)
        output = noise_in(x, x0, sigma) if prediction == "epsilon" else x0
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        x = scheduler.step(output, t, x, eta=eta, variance_noise=noise).prev_sample
    assert max_abs(ours, x) < 1e-4


@pytest.mark.parametrize("n", [10, 50])
def test_ancestral_is_the_ddpm_step(n):
    scheduler = DDPMScheduler(
        1000, clip_sample=False, variance_type="fixed_small", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(n)
    sigmas, x = chain_levels(scheduler), randn(64, 2)
    ours = sample(D, x, sigmas, ancestral, PROCESS, generator=torch.Generator().manual_seed(7)).x
    generator = torch.Generator().manual_seed(7)
    for t, sigma in zip(scheduler.timesteps, sigmas):
        output = noise_in(x, D(x / vp_scale(sigma), sigma), sigma)
        x = scheduler.step(output, t, x, generator=generator).prev_sample
    assert max_abs(ours, x) < 1e-4


@pytest.mark.parametrize("variance", ["fixed_large", "learned_range"])
@pytest.mark.parametrize("n", [10, 50, 1000])
def test_learned_is_the_step_of_improved_ddpm(n, variance):
    """Also at strides, where both take the β of the step.

    But for the last step, whose noise ours leaves out: diffusers does so only from t = 1 to 0.
    """
    scheduler = DDPMScheduler(
        1000, clip_sample=False, variance_type=variance, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(n)
    sigmas, x = chain_levels(scheduler), randn(64, 2)

    def raw(x):
        return 1.5 * torch.sin(x)  # of the VP variable; beyond [-1, 1] too

    class Learned:
        extra_channels = 2

        def __call__(self, x, sigma, extra=False):
            return (D(x, sigma), raw(x * vp_scale(sigma))) if extra else D(x, sigma)

    step = learned if variance == "learned_range" else partial(ancestral, v=1.0)
    generator = torch.Generator().manual_seed(7)
    ours = sample(Learned(), x, sigmas, step, PROCESS, generator=generator, trajectory=True)
    generator = torch.Generator().manual_seed(7)
    for t, sigma in zip(scheduler.timesteps[:-1], sigmas):
        output = noise_in(x, D(x / vp_scale(sigma), sigma), sigma)
        if variance == "learned_range":
            output = torch.cat([output, raw(x)], 1)
        x = scheduler.step(output, t, x, generator=generator).prev_sample
    assert max_abs(ours.trajectory[-2], x) < 1e-4


# --- Euler, Heun and 2M in σ


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("karras", [True, False])
@pytest.mark.parametrize("n", [5, 18])
@pytest.mark.parametrize(
    "scheduler, step", [(EulerDiscreteScheduler, euler), (HeunDiscreteScheduler, heun)]
)
def test_euler_and_heun(scheduler, step, n, karras, prediction):
    """The state is x_0 + σ ε.

    Heun's scheduler lists each inner level twice, once for each of its two calls.
    """
    scheduler = scheduler(1000, use_karras_sigmas=karras, prediction_type=prediction)
    scheduler.set_timesteps(n)
    levels = scheduler.sigmas.double()
    x = levels[0] * randn(64, 2)
    result = sample(D, x, levels.unique().flip(0), step)
    for t, sigma in zip(scheduler.timesteps, levels):
        scheduler.is_scale_input_called = (
            True  # the network's input is scaled by the network itself here
        )
        x0 = D(x, sigma)
        x = scheduler.step((x - x0) / sigma if prediction == "epsilon" else x0, t, x).prev_sample
    assert result.nfe == len(scheduler.timesteps)
    assert max_abs(result.x, x) < 1e-4


@pytest.mark.parametrize("n", [1, 2, 5, 18, 50])
@pytest.mark.parametrize(
    "scheduler, step", [(EDMEulerScheduler, euler), (EDMDPMSolverMultistepScheduler, dpmpp_2m)]
)
def test_euler_and_2m_of_an_edm_network(scheduler, step, n):
    """The whole of EDM's conventions: the network is F = (D − c_skip x)/c_out at c_in x, and the
    scheduler makes D of it.
    """
    scheduler, p = scheduler(), preconditioning.edm(0.5)
    scheduler.set_timesteps(n)
    levels = scheduler.sigmas.double()
    x = levels[0] * randn(64, 2)
    ours = sample(D, x, levels, step).x
    for t, sigma in zip(scheduler.timesteps, levels):
        scaled = scheduler.scale_model_input(x, t)
        assert (
            max_abs(scaled, p.c_in(sigma) * x) < 1e-5
            and abs(float(t) - float(p.c_noise(sigma))) < 1e-5
        )
        F = (D(x, sigma) - p.c_skip(sigma) * x) / p.c_out(sigma)
        x = scheduler.step(F, t, x).prev_sample
    assert max_abs(ours, x) < 1e-4


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("karras", [True, False])
@pytest.mark.parametrize("n", [1, 5, 18, 50])
def test_2m_on_a_chain(n, karras, prediction):
    """DPM-Solver++(2M) in the VP variable, which is how the paper writes it."""
    scheduler = DPMSolverMultistepScheduler(
        1000,
        algorithm_type="dpmsolver++",
        solver_order=2,
        use_karras_sigmas=karras,
        prediction_type=prediction,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(n)
    levels, x = scheduler.sigmas.double(), randn(64, 2)
    ours = sample(D, x, levels, dpmpp_2m, PROCESS).x
    for t, sigma in zip(scheduler.timesteps, levels):
        x0 = D(x / vp_scale(sigma), sigma)
        x = scheduler.step(
            noise_in(x, x0, sigma) if prediction == "epsilon" else x0, t, x
        ).prev_sample
    assert max_abs(ours, x) < 1e-4


# --- preconditioning of the discrete chains


def test_vp_network_input_is_the_vp_variable():
    """c_in of VP and iDDPM turns x_0 + σ ε into the state that a chain's network sees, as
    ``scale_model_input`` does.
    """
    scheduler = EulerDiscreteScheduler(1000)
    scheduler.set_timesteps(10)
    x, p = randn(4, 2), preconditioning.vp()
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas.double()):
        assert max_abs(scheduler.scale_model_input(x, t), p.c_in(sigma) * x) < 1e-6
        scheduler.step(torch.zeros_like(x), t, x)
