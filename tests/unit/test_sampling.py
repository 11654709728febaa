"""Pictures from seeds: neither batch size nor number of processes changes one."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from fewstep import grids, preconditioning, sampling, solvers
from fewstep.denoisers import Mixture
from fewstep.preconditioning import Denoiser
from fewstep.processes import VP

MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.0], [0.8, 0.6]]), torch.tensor([0.05, 0.03]), torch.tensor([0.4, 0.6])
)
CHURN = solvers.Churn(10)


class Tinted(nn.Module):
    """F answers the label: a denoiser whose samples show which label they were given."""

    def forward(self, x, c_noise, labels=None):
        shift = torch.zeros(len(x)) if labels is None else labels.float()
        return shift.reshape(-1, 1, 1, 1).expand_as(x)


def drawn(seeds, batch_size=256, **options):
    return sampling.from_seeds(
        MIXTURE, seeds, (2,), grids.edm(6), churn=CHURN, batch_size=batch_size, **options
    )


def test_a_picture_is_the_same_in_every_batch():
    """Alone, in batches of 3, in one batch, in another order: start and churn are its own."""
    together = drawn(range(10)).x
    assert torch.equal(drawn(range(10), batch_size=3).x, together)
    assert torch.equal(torch.cat([drawn([seed]).x for seed in range(10)]), together)
    assert torch.equal(drawn(range(9, -1, -1)).x.flip(0), together)
    assert not torch.equal(drawn(range(10, 20)).x, together)


def test_it_is_the_driver_s_sample():
    """One seed: the start and the later noise of one generator, as by hand; NFE is a sample's."""
    g = torch.Generator().manual_seed(7)
    sigmas, process = grids.edm(6), VP()
    start = process.s(process.sigma_inv(sigmas[0])) * sigmas[0] * torch.randn(1, 2, generator=g)
    by_hand = solvers.sample(
        MIXTURE, start.float(), sigmas, churn=CHURN, process=process, generator=g
    )
    ours = sampling.from_seeds(MIXTURE, [7], (2,), sigmas, process=process, churn=CHURN)
    assert float((ours.x - by_hand.x).abs().max()) < 1e-6 and ours.nfe == by_hand.nfe == 11


def test_each_seed_has_its_label_in_any_batch():
    denoiser = Denoiser(Tinted(), preconditioning.edm(0.5))
    run = lambda size: sampling.from_seeds(
        denoiser, range(5), (1, 4, 4), [1.0, 0.0], labels=[0, 1, 2, 3, 4], batch_size=size
    )
    x = run(2).x
    assert torch.equal(x, run(5).x)
    plain = sampling.from_seeds(denoiser, range(5), (1, 4, 4), [1.0, 0.0]).x
    shift = (x - plain).mean((1, 2, 3))
    assert float((shift - shift[1] * torch.arange(5)).abs().max()) < 1e-6 and shift[1] > 0


def test_guidance_costs_two_calls_and_extrapolates():
    """w = 3 moves a sample three times as far from the unconditional one as w = 1."""
    denoiser = Denoiser(Tinted(), preconditioning.edm(0.5))
    run = lambda w, label: sampling.from_seeds(
        denoiser, range(4), (1, 4, 4), [1.0, 0.0], labels=label, guidance=w
    )
    null = run(1.0, -1).x
    assert torch.allclose(run(3.0, 2).x - null, 3 * (run(1.0, 2).x - null), atol=1e-5)
    assert (run(3.0, 2).nfe, run(1.0, 2).nfe, run(0.0, 2).nfe) == (2, 1, 1)
    assert torch.allclose(
        run(0.0, 2).x, sampling.from_seeds(denoiser, range(4), (1, 4, 4), [1.0, 0.0]).x
    )


def test_memory_that_does_not_suffice_halves_the_batch():
    sizes = []

    def hungry(x, sigma):
        sizes.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return MIXTURE(x, sigma)

    run = lambda: sampling.from_seeds(hungry, range(10), (2,), grids.edm(6), churn=CHURN).x
    with pytest.warns(UserWarning, match="batches of 2 from here on"):
        x = run()
    assert torch.equal(x, drawn(range(10)).x) and sizes[:3] == [10, 5, 2]


def test_another_error_is_not_taken_for_missing_memory():
    def broken(x, sigma):
        raise RuntimeError("a fault of the denoiser")

    with pytest.raises(RuntimeError, match="a fault of the denoiser"):
        sampling.from_seeds(broken, range(4), (2,), grids.edm(2))


def test_two_processes_draw_what_one_draws(tmp_path):
    """Started by torchrun: five seeds on two processes, in order, and the same on both."""
    script = tmp_path / "draw.py"
    script.write_text(
        "import os, sys, torch\n"
        "torch.distributed.init_process_group('gloo')\n"
        f"sys.path.insert(0, {str(__import__('pathlib').Path(__file__).parent)!r})\n"
        "from test_sampling import drawn\n"
        "torch.save(drawn(range(5)).x, sys.argv[1] + os.environ['RANK'])\n"
        "torch.distributed.destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, script, tmp_path / "x"], check=True, capture_output=True)
    for rank in "01":
        assert torch.equal(torch.load(tmp_path / f"x{rank}"), drawn(range(5)).x)
