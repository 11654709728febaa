"""The course's U-Net: one network from 8×8 grey digits to 64×64 colour, with optional classes,
attention and extra output channels.
"""

from collections.abc import Sequence
from math import log
from typing import Any

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ._checks import count, describe, number, require, state


def _norm(channels: int) -> nn.GroupNorm:  # at most 32 groups, of 4 channels or more
    groups = next(g for g in range(min(32, channels // 4), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def _zero(module: nn.Module) -> nn.Module:  # a block that starts as the identity trains more stably
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def _check_maps(x: Any, first: nn.Conv2d) -> None:
    """Feature maps for this convolution. Looks at no value, as ``_check_fit``."""
    state("x", x)
    if x.ndim != 4 or x.shape[1] != first.in_channels or 0 in x.shape[2:]:
        form = f"(B, {first.in_channels}, H, W), not empty"
        raise ValueError(f"x.shape = {tuple(x.shape)}: must be {form}")
    _check_fit("x", x, x.shape, first)


def _check_fit(argument: str, value: Any, shape: Sequence[int], first: nn.Module) -> None:
    """A tensor of this shape, in the type of the weights unless autocast changes it."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        form = "(B,)" if len(shape) == 1 else "(B, C)"
        raise ValueError(f"{argument} = {describe(value)}: must be a floating-point tensor {form}")
    if value.shape != tuple(shape):
        raise ValueError(f"{argument}.shape = {tuple(value.shape)}: must be {tuple(shape)}")
    if value.dtype != first.weight.dtype and not torch.is_autocast_enabled(value.device.type):
        raise ValueError(f"{argument}.dtype = {value.dtype}: must be {first.weight.dtype}")


class Block(nn.Module):
    """Two convolutions around a skip; the noise embedding scales and shifts between them.

    channels_in, channels_out, embedding: sizes.  attention: whether the block ends with attention.
    dropout: between the convolutions.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        embedding: int,
        attention: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        count("channels_in", channels_in, 4)
        count("channels_out", channels_out, 4)
        count("embedding", embedding)
        require(isinstance(attention, bool), "attention", attention, "True or False")
        number("dropout", dropout, at_least=0, below=1)
        self.norm1 = _norm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulate = nn.Linear(embedding, 2 * channels_out)
        self.norm2, self.dropout = _norm(channels_out), nn.Dropout(dropout)
        self.conv2 = _zero(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)
        self.attention = Attention(channels_out) if attention else nn.Identity()

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Of x (B, channels_in, H, W) and embedding (B, embedding): (B, channels_out, H, W)."""
        _check_maps(x, self.conv1)
        _check_fit("embedding", embedding, (len(x), self.modulate.in_features), self.modulate)
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulate(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(self.dropout(F.silu(self.norm2(h) * (1 + scale) + shift)))
        return self.attention(self.skip(x) + h)


class Attention(nn.Module):
    """Self-attention over all pixels, around a skip.

    channels: split into heads of 64, or one head where 64 does not divide them.
    """

    def __init__(self, channels: int):
        super().__init__()
        count("channels", channels, 4)
        self.heads = channels // 64 if channels % 64 == 0 else 1
        self.norm, self.qkv = _norm(channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, channels, H, W).  Returns the same shape."""
        _check_maps(x, self.qkv)
        q, k, v = rearrange(
            self.qkv(self.norm(x)), "b (three n c) h w -> three b n (h w) c", three=3, n=self.heads
        )
        # written out: torch's fused attention has no forward derivative, which jvp needs
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1)
        return x + self.out(rearrange(weights @ v, "b n (h w) c -> b (n c) h w", h=x.shape[2]))


class UNet(nn.Module):
    """U-Net F(x, c_noise, labels) for square or rectangular images.

    image_channels: of x.  channels: width of the first level, a multiple of 8.  multipliers: width
    of each level, in units of channels.  blocks: per level.  attention: whether each level attends
    (default: none does).  classes: 0 for a network without labels.  dropout: in [0, 1).
    extra_channels: of the output, after those of the image (learned variance).
    Raises ValueError for sizes that make no network.
    """

    def __init__(
        self,
        image_channels: int,
        channels: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[bool] | None = None,
        classes: int = 0,
        dropout: float = 0.0,
        extra_channels: int = 0,
    ):
        super().__init__()
        self.settings = s = _settings(
            image_channels=image_channels,
            channels=channels,
            multipliers=multipliers,
            blocks=blocks,
            attention=attention,
            classes=classes,
            dropout=dropout,
            extra_channels=extra_channels,
        )
        channels, multipliers, attention = s["channels"], s["multipliers"], s["attention"]
        self.extra_channels: int = s["extra_channels"]
        self.frequencies, width = channels // 2, 2 * channels
        self.embed_noise = nn.Sequential(
            nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        # the first entry means "no class"
        self.embed_class = nn.Embedding(classes + 1, channels) if classes else None

        def block(c_in: int, c_out: int, level: int) -> Block:
            return Block(c_in, c_out, width, attention[level], dropout)

        self.first = nn.Conv2d(image_channels, channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        c, skips = channels, [channels]
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(block(c, channels * multiplier, level))
                c = channels * multiplier
                skips.append(c)
            if level < len(multipliers) - 1:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = block(c, c, -1)
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(block(c + skips.pop(), channels * multiplier, level))
                c = channels * multiplier
            if level > 0:
                self.up.append(nn.Conv2d(c, c, 3, padding=1))
        out = image_channels + self.extra_channels
        self.last = nn.Sequential(_norm(c), nn.SiLU(), _zero(nn.Conv2d(c, out, 3, padding=1)))

    def forward(
        self, x: torch.Tensor, c_noise: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The network's output F, of shape (B, image_channels + extra_channels, H, W).

        x: (B, image_channels, H, W), H and W divisible by 2^(levels − 1).  c_noise: (B,), the noise
        level's encoding.  labels: (B,) integers, −1 for no class; None: no class for any sample.
        Raises ValueError for wrong shapes and types. Looks at no value: what is not in −1 … classes
        − 1 must be refused before.
        """
        self._check(x, c_noise, labels)
        embedding = self._embedding(c_noise, labels)
        h = self.first(x)
        skips = [h]
        for layer in self.down:
            h = layer(h, embedding) if isinstance(layer, Block) else layer(h)
            skips.append(h)
        h = self.middle(h, embedding)
        for layer in self.up:
            if isinstance(layer, Block):
                h = layer(torch.cat([h, skips.pop()], dim=1), embedding)
            else:
                h = layer(F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.last(h)

    def hidden_weights(self) -> list[nn.Parameter]:
        """Weights that map one hidden layer to another, all but those of the noise embedding: what
        ``optimizers.muon`` is for.
        """
        blocks = [*self.down, self.middle, *self.up]
        return [p for block in blocks for p in block.parameters() if p.ndim >= 2]

    def _embedding(self, c_noise: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        powers = torch.arange(self.frequencies, device=c_noise.device) / self.frequencies
        angles = c_noise[:, None] * torch.exp(-log(10_000) * powers)
        features = torch.cat([angles.cos(), angles.sin()], dim=1)
        if self.embed_class is not None:
            if labels is None:
                labels = torch.full_like(c_noise, -1, dtype=torch.int64)
            features = features + self.embed_class(labels + 1)
        return self.embed_noise(features)

    def _check(self, x: Any, c_noise: Any, labels: Any) -> None:
        _check_maps(x, self.first)
        factor = 2 ** (len(self.settings["multipliers"]) - 1)
        if x.shape[2] % factor or x.shape[3] % factor:
            form = f"(B, C, H, W) with H and W divisible by {factor}"
            raise ValueError(f"x.shape = {tuple(x.shape)}: must be {form}")
        batch = x.shape[:1]
        _check_fit("c_noise", c_noise, batch, self.first)
        if labels is None:
            return
        if self.embed_class is None:
            raise ValueError(
                f"labels = {describe(labels)}: must be None, for this network has no classes"
            )
        if not isinstance(labels, torch.Tensor) or labels.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"labels = {describe(labels)}: must be a tensor (B,) of integers")
        if labels.shape != batch:
            raise ValueError(f"labels.shape = {tuple(labels.shape)}: must be {tuple(batch)}")


def _settings(**given: Any) -> dict[str, Any]:
    """The arguments of :class:`UNet`, checked, and as plain numbers and tuples."""
    channels = count("channels", given["channels"], at_least=8)
    require(channels % 8 == 0, "channels", channels, "a multiple of 8")
    multipliers, attention = given["multipliers"], given["attention"]
    levels = isinstance(multipliers, Sequence) and not isinstance(multipliers, str)
    require(levels and len(multipliers), "multipliers", multipliers, "one integer for each level")
    multipliers = tuple(count("multipliers", m) for m in multipliers)
    attention = (False,) * len(multipliers) if attention is None else attention
    flags = isinstance(attention, Sequence) and all(isinstance(a, bool) for a in attention)
    require(
        flags and len(attention) == len(multipliers),
        "attention",
        attention,
        "one True or False for each level",
    )
    return given | dict(
        image_channels=count("image_channels", given["image_channels"]),
        channels=channels,
        multipliers=multipliers,
        blocks=count("blocks", given["blocks"]),
        attention=tuple(attention),
        classes=count("classes", given["classes"], at_least=0),
        dropout=number("dropout", given["dropout"], at_least=0, below=1),
        extra_channels=count("extra_channels", given["extra_channels"], at_least=0),
    )
