"""A short training run in a process of its own, for the tests of resume and of several processes.

python training_run.py OUT STEPS [--kind digits | edm | gan] [--checkpoint FILE] [--every N]
[--dropout P] [--pause SECONDS]
"""

import argparse
import os
import time

import torch
from torch import nn
from torch.nn.functional import softplus

from fewstep import data, losses, optimizers, preconditioning, toys, training
from fewstep.learners import Learner


class Small(nn.Module):
    """A denoiser of a few thousand parameters, with dropout, a buffer and class labels."""

    def __init__(self, dropout=0.0, width=16):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)
        self.embed, self.dropout = nn.Embedding(10, width), nn.Dropout(dropout)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def hidden_weights(self):
        return [self.first.weight]

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


def perceptron(*widths, dropout=0.0):
    """Linear layers with SiLU and dropout between them."""
    pairs = zip(widths[:-1], widths[1:])
    layers = [m for a, b in pairs for m in (nn.Linear(a, b), nn.SiLU(), nn.Dropout(dropout))]
    return nn.Sequential(*layers[:-2])


class Centre(nn.Module):
    """x minus its running mean, a buffer that every process would fill otherwise."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x):
        if self.training:
            self.mean = self.mean.lerp(x.detach().mean(0), 0.1)
        return x - self.mean


class GAN(Learner):
    """Generator against critic, whose gradient at data is penalised in every fourth step (R1)."""

    pause = 0.0

    def step(self, batch):
        time.sleep(self.pause)
        G, D = self.modules["generator"], self.modules["critic"]
        x, fake = batch.x.requires_grad_(), G(batch.normal("latent", 8))
        real = D(x)
        critic = (softplus(-real) + softplus(D(fake.detach()))).mean()
        if batch.step % 4 == 0:
            (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
            critic = critic + 4 * 0.1 * slope.square().sum(1).mean()
        self.update("critic", critic)
        generator = softplus(-D(fake)).mean()
        self.update("generator", generator)
        return {"critic": critic, "generator": generator}


def gan(dropout=0.0):
    """With dropout the critic also has a buffer; in each process it starts from other weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1 + int(os.environ.get("RANK", 0)))
        G, D = perceptron(8, 64, 64, 2), perceptron(2, 64, 64, 1, dropout=dropout)
        D = nn.Sequential(Centre(2), D) if dropout else D
    networks = {"generator": G, "critic": D}
    options = dict(lr=2e-3, betas=(0.5, 0.9), fused=True)
    adams = {k: torch.optim.Adam(m.parameters(), **options) for k, m in networks.items()}
    return GAN(networks, adams, {"generator": 2000}, clip_norm=1.0)


def run(out, steps, kind="digits", checkpoint=None, every=None, dropout=0.0, pause=0.0):
    """Train and save; ``edm``: the library's own denoiser and loss."""
    every = every if checkpoint else None
    options = dict(steps=steps, checkpoint=checkpoint, checkpoint_every=every, progress=False)
    if kind == "gan":
        learner = gan(dropout)
        learner.pause = pause
        history = training.run(learner, toys.moons(2000), batch_size=64, **options)
        parts = {**learner.modules, "ema": learner.averages["generator"]}
        found = history.losses
    else:
        digits = data.digits()

        def paused(*inputs):
            return loss(*inputs, pause=pause)

        denoiser, rates = small(dropout), {"learning_rate": 2e-3}
        if kind == "edm":
            denoiser = preconditioning.Denoiser(denoiser, preconditioning.edm())
            rates = {"optimizers": optimizers.muon(denoiser)}
        result = training.train(
            denoiser,
            digits,
            losses.edm if kind == "edm" else paused,
            batch_size=32,
            labels=digits.labels,
            clip_norm=10.0,
            warmup=5,
            decay="cosine",
            **(rates | options),
        )
        parts = {"network": result.denoiser, "ema": result.ema}
        found = {"loss": result.losses}
    several = torch.distributed.is_initialized()
    saved = {name: part.state_dict() for name, part in parts.items()}
    saved |= {"losses": found, "processes": torch.distributed.get_world_size() if several else 1}
    if int(os.environ.get("RANK", 0)) == 0:
        torch.save(saved, out)
    return saved


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("steps", type=int)
    parser.add_argument("--kind", default="digits")
    parser.add_argument("--checkpoint")
    parser.add_argument("--every", type=int)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--pause", type=float, default=0.0)
    run(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
