"""The training loop: Accelerate, an average of the weights, exact resume.

    result = train(denoiser, images, loss, steps=2000, batch_size=128, learning_rate=2e-3, ...)

What the loop calls
-------------------
``denoiser(x, sigma, labels=None)``: an nn.Module; x (B, C, H, W) or (B, D), sigma (B,), labels (B,) int64 or None.
``loss(denoiser, x0, u, noise, labels=None)`` returns one loss per sample, (B,). It draws nothing itself:
    x0     (B, ...)  clean data, float32
    u      (B,)      uniform on the open interval (0, 1): the loss makes its noise level from it,
                     for instance ln σ = P_mean + P_std·Φ⁻¹(u) (``torch.special.ndtri``) or t = ⌊T·u⌋
    noise  like x0   standard normal

Randomness without state
------------------------
The batch, u and noise of step i depend on (seed, i) and nothing else. They are drawn for the whole batch;
each process takes its rows. So a run that was killed goes on exactly as if it had not been, and two processes
give the result of one. A loss is then a plain function of its arguments, which a test can put under the microscope.
"""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class TrainingResult:
    """denoiser: the trained network.  ema: its averaged copy, in eval mode.  losses: (steps,) mean loss of each step.
    seconds: of training, this run.  steps: done in all, including those before a resume."""

    denoiser: nn.Module
    ema: nn.Module
    losses: torch.Tensor
    seconds: float
    steps: int


def train(denoiser, data, loss, *, steps, batch_size, learning_rate, seed=0, labels=None, ema_half_life=None,
          checkpoint=None, checkpoint_every=None, log_dir=None, progress=True, mixed_precision="no",
          clip_norm=None, warmup_steps=0, cosine=False):
    """Placeholder: being written."""
    raise NotImplementedError
