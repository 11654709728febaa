"""A short training run in a process of its own, for the tests of resume and of several processes.

python training_run.py OUT STEPS [--checkpoint FILE] [--every N] [--dropout P] [--pause SECONDS]
[--edm]
"""

import argparse
import os
import time

import torch
from torch import nn

from fewstep import data, losses, preconditioning, training


class Small(nn.Module):
    """A denoiser of a few thousand parameters, with dropout, a buffer and class labels."""

    def __init__(self, dropout=0.0, width=16):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)
        self.embed, self.dropout = nn.Embedding(10, width), nn.Dropout(dropout)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x, sigma, labels=None):
        self.calls += self.training
        sigma = sigma.view(-1, 1, 1, 1)
        h = self.first(x / (1 + sigma**2).sqrt())
        if labels is not None:
            h = h + self.embed(labels)[:, :, None, None]
        return self.last(self.dropout(torch.nn.functional.silu(h)))


def loss(denoiser, x0, u, noise, labels=None, pause=0.0):
    time.sleep(pause)
    sigma = (1.2 * torch.special.ndtri(u) - 1.2).exp()
    weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
    D = denoiser(x0 + sigma.view(-1, 1, 1, 1) * noise, sigma, labels)
    return weight * (D - x0).square().flatten(1).mean(1)


def small(dropout=0.0, seed=0, width=16):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small(dropout, width)


def run(out, steps, checkpoint=None, every=None, dropout=0.0, pause=0.0, edm=False):
    """Train and save; with ``edm`` the library's own denoiser and loss."""
    digits = data.digits()

    def paused(*inputs):
        return loss(*inputs, pause=pause)

    denoiser = (
        preconditioning.Denoiser(small(dropout), preconditioning.edm()) if edm else small(dropout)
    )
    result = training.train(
        denoiser,
        digits,
        losses.edm if edm else paused,
        steps=steps,
        batch_size=32,
        learning_rate=2e-3,
        labels=digits.labels,
        clip_norm=10.0,
        warmup=5,
        cosine=True,
        checkpoint=checkpoint,
        checkpoint_every=every,
        progress=False,
    )
    saved = {
        "network": result.denoiser.state_dict(),
        "ema": result.ema.state_dict(),
        "losses": result.losses,
        "processes": torch.distributed.get_world_size()
        if torch.distributed.is_initialized()
        else 1,
    }
    if int(os.environ.get("RANK", 0)) == 0:
        torch.save(saved, out)
    return saved


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("steps", type=int)
    parser.add_argument("--checkpoint")
    parser.add_argument("--every", type=int)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--edm", action="store_true")
    run(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
