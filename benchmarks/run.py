"""Speed and memory, beside the speed of the machine itself: ``make bench``.

Prints a table; nothing is asserted, machines differ.
"""

import functools
import itertools
import resource
import time

import fewstep  # noqa: F401, before torch: see there

# isort: split
import torch
from diffusers import EulerDiscreteScheduler, UNet2DModel
from tabulate import tabulate

from fewstep import (
    classifiers,
    data,
    denoisers,
    grids,
    losses,
    metrics,
    networks,
    optimizers,
    preconditioning,
    processes,
    solvers,
    training,
)

STEPS, BATCH, CALLS = 1400, 256, 18
CHURN = solvers.Churn(S_churn=30, S_tmin=0.01, S_tmax=1, S_noise=1.007)  # as in the quickstart


def network(sigma_data):
    """The quickstart's network."""
    return preconditioning.Denoiser(
        networks.UNet(1, 16, (1, 2), blocks=1), preconditioning.edm(sigma_data)
    )


def fastest(*functions, rounds=7):
    """The least seconds of each function over several rounds, taken in turn so that all see the
    same machine.
    """
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, kept in zip(functions, times):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return [min(kept) for kept in times]


def training_time():
    """Seconds of training, and FD-C over the real-against-real floor that they buy."""
    images = data.digits()
    torch.manual_seed(0)
    denoiser = network(float(images.float().std()))
    levels = functools.partial(losses.lognormal, mean=-0.8, std=0.9)
    trained = training.train(
        denoiser,
        images,
        functools.partial(losses.denoising, levels=levels),
        steps=STEPS,
        batch_size=128,
        optimizers=optimizers.muon(denoiser),
        warmup=100,
        decay="linear",
    )
    classifier = classifiers.load_classifier("digits")
    pool, n = metrics.features(images, classifier), len(images) // 2
    values = []
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(n, *images.shape, generator=generator)
        x = solvers.sample(
            trained.ema, 80 * noise, grids.edm(18), churn=CHURN, generator=generator
        ).x.clamp(-1, 1)
        values.append(
            metrics.fd_c(x, pool[torch.randperm(len(pool), generator=generator)[:n]], classifier)
        )
    floor = metrics.floor(pool, n, seeds=10)[0]
    yield "digits: seconds of training", f"{trained.seconds:.0f}", "≤ 30"
    yield (
        "digits: FD-C / floor after it (Heun + churn, 35 calls)",
        f"{sum(values) / len(values) / floor:.2f}",
        "≤ 1.5",
    )


def training_step():
    """A step of the course's U-Net against diffusers' of as many levels, blocks and parameters (in
    millions), without attention: 32×32, three channels, batch 64.
    """
    ours, widths = networks.UNet(3, 32, (1, 2, 2), blocks=2), (32, 64, 64)
    theirs = UNet2DModel(
        in_channels=3,
        out_channels=3,
        block_out_channels=widths,
        down_block_types=["DownBlock2D"] * 3,
        up_block_types=["UpBlock2D"] * 3,
        layers_per_block=2,
        norm_num_groups=8,
        add_attention=False,
    )
    x, t = torch.randn(64, 3, 32, 32), 1000 * torch.rand(64)

    def step(network, optimizer):
        out = network(x, t)
        loss = getattr(out, "sample", out).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    both = [(n, torch.optim.Adam(n.parameters(), fused=True)) for n in (ours, theirs)]
    our_time, their_time = fastest(*(functools.partial(step, *pair) for pair in both))
    sizes = [sum(p.numel() for p in network.parameters()) / 1e6 for network, _ in both]
    name = "images/s in training, U-Net ({:.2f}) / diffusers' ({:.2f})".format(*sizes)
    yield name, f"{their_time / our_time:.2f}", "≥ 1.3"


def loop_overhead(steps=100):
    """The loop of training (batches, draws, averages, log) against its loss and optimizer alone."""
    images = data.digits()
    denoiser = network(0.75)
    optimizer = torch.optim.Adam(denoiser.parameters(), fused=True)
    x, u, noise = images.float(range(128)), torch.rand(128), torch.randn(128, 1, 8, 8)

    def bare():
        for _ in range(steps):
            optimizer.zero_grad()
            losses.edm(denoiser, x, u, noise).mean().backward()
            optimizer.step()

    def ours():
        options = {"steps": steps, "batch_size": 128, "learning_rate": 1e-3, "progress": False}
        training.train(denoiser, images, losses.edm, **options)

    bare_time, our_time = fastest(bare, ours)
    yield "training loop / its loss and optimizer alone", f"{our_time / bare_time:.3f}", "≤ 1.03"


def sampler_overhead():
    """Our driver and wrapper, and diffusers' Euler loop around the same wrapper, against the same
    number of calls of the network alone.
    """
    images = data.digits()
    denoiser = network(0.75).eval()
    noise, c_noise = torch.randn(BATCH, *images.shape), torch.zeros(BATCH)
    sigmas = grids.edm(CALLS)

    @torch.no_grad()
    def bare():
        for _ in range(CALLS):
            denoiser.network(noise, c_noise)

    def ours():
        solvers.sample(denoiser, 80 * noise, sigmas, solvers.euler)

    scheduler = EulerDiscreteScheduler(prediction_type="sample", use_karras_sigmas=True)

    @torch.no_grad()
    def theirs():
        scheduler.set_timesteps(CALLS)
        x = noise * scheduler.init_noise_sigma
        for t, sigma in zip(scheduler.timesteps, scheduler.sigmas):
            scheduler.scale_model_input(x, t)
            x = scheduler.step(denoiser(x, sigma), t, x).prev_sample

    network_time, our_time, their_time = fastest(bare, ours, theirs)
    ratio = f"{our_time / network_time:.3f}"
    yield f"sampler / calls of the network (Euler, batch {BATCH})", ratio, "≤ 1.05"
    ratio = f"{our_time / their_time:.3f}"
    yield "sampler / diffusers' loop, same network and calls", ratio, "≤ 1"


def driver():
    """What a step costs beside the denoiser's call: with one that costs nothing, ms a step."""
    x, n = torch.randn(16, 2), 256
    sigmas = grids.edm(n)
    D = lambda x, sigma: 0.5 * x

    @torch.no_grad()
    def plain():
        y = 80 * x
        for sigma, sigma_next in itertools.pairwise(sigmas.tolist()):
            y = y + (sigma_next - sigma) * (y - D(y, sigma)) / sigma

    kinds = {
        "EDM": processes.EDM(),
        "VP": processes.VP(),
        "an SDE given by f and g": processes.FromSDE(
            lambda t: -0.5 * (0.1 + 19.9 * t), lambda t: (0.1 + 19.9 * t) ** 0.5
        ),
    }
    loops = [
        functools.partial(solvers.sample, D, x, sigmas, solvers.euler, p) for p in kinds.values()
    ]
    bare, *times = (1000 * seconds / n for seconds in fastest(plain, *loops))
    yield "a step of a plain loop, ms", f"{bare:.3f}", ""
    for name, ms in zip(kinds, times):
        yield f"a step of the driver, {name}, ms", f"{ms:.3f}", "≤ 0.1"


def machine():
    """Float32 matrix products, in 10⁹ multiplications and additions a second."""
    a, n = torch.randn(2048, 2048), 2 * 2048**3
    name = f"this machine: GFLOP/s in float32 matrix products, {torch.get_num_threads()} threads"
    yield name, f"{n / fastest(lambda: a @ a)[0] / 1e9:.0f}", "80: slow"


def empirical_denoiser():
    """The exact denoiser of 10,000 points in 784 dimensions on a batch of 256."""
    exact, x = denoisers.DataSet(torch.randn(10_000, 784)), torch.randn(256, 784)
    exact(x, 0.5)
    yield (
        "exact denoiser, 10,000 × 784, batch 256: seconds",
        f"{fastest(lambda: exact(x, 0.5))[0]:.2f}",
        "≤ 0.5",
    )


PARTS = (
    machine,
    driver,
    empirical_denoiser,
    sampler_overhead,
    training_step,
    loop_overhead,
    training_time,
)

if __name__ == "__main__":
    rows = [row for part in PARTS for row in part()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    rows.append(("peak memory of this process, GiB", f"{peak:.2f}", "≤ 3"))
    print(tabulate(rows, ["measure", "measured", "wanted"], tablefmt="github"))
