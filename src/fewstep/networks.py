"""The course's U-Net: one network from 8×8 grey digits to 64×64 colour, with optional classes and
attention.
"""

from math import log

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ._checks import require


def _norm(channels):  # at most 32 groups, of 4 channels or more
    groups = next(g for g in range(min(32, channels // 4), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def _zero(module):  # a block that starts as the identity trains more stably
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class Block(nn.Module):
    """Two convolutions around a skip; the noise embedding scales and shifts between them;
    attention after, if asked for.
    """

    def __init__(self, channels_in, channels_out, embedding, attention=False, dropout=0.0):
        super().__init__()
        self.norm1, self.conv1 = (
            _norm(channels_in),
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
        )
        self.modulate = nn.Linear(embedding, 2 * channels_out)
        self.norm2, self.dropout = _norm(channels_out), nn.Dropout(dropout)
        self.conv2 = _zero(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        self.skip = (
            nn.Conv2d(channels_in, channels_out, 1)
            if channels_in != channels_out
            else nn.Identity()
        )
        self.attention = Attention(channels_out) if attention else nn.Identity()

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulate(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(self.dropout(F.silu(self.norm2(h) * (1 + scale) + shift)))
        return self.attention(self.skip(x) + h)


class Attention(nn.Module):
    """Self-attention over all pixels, heads of 64 channels (or one head where 64 does not divide
    the channels), around a skip.
    """

    def __init__(self, channels):
        super().__init__()
        self.heads = channels // 64 if channels % 64 == 0 else 1
        self.norm, self.qkv = _norm(channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        q, k, v = rearrange(
            self.qkv(self.norm(x)), "b (three n c) h w -> three b n (h w) c", three=3, n=self.heads
        )
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(rearrange(h, "b n (h w) c -> b (n c) h w", h=x.shape[2]))


class UNet(nn.Module):
    """U-Net F(x, c_noise, labels) for square or rectangular images.

    ``x``: (B, image_channels, H, W), H and W divisible by 2^(levels − 1); ``c_noise``: (B,) noise
    conditioning; ``labels``: (B,) integers below ``classes``, or None (a network with classes then
    runs unconditionally). ``multipliers``: channels of each level in units of ``channels``;
    ``attention``: whether each level attends.
    """

    def __init__(
        self,
        image_channels: int,
        channels: int = 64,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 2,
        attention: tuple[bool, ...] | None = None,
        classes: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        attention = (False,) * len(multipliers) if attention is None else tuple(attention)
        require(len(multipliers) >= 1, "multipliers", multipliers, "one or more levels")
        require(
            len(attention) == len(multipliers),
            "attention",
            attention,
            f"one flag for each of the {len(multipliers)} levels",
        )
        require(channels >= 8 and channels % 8 == 0, "channels", channels, "a multiple of 8")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        require(
            blocks >= 1 and image_channels >= 1 and classes >= 0,
            "blocks, image_channels, classes",
            (blocks, image_channels, classes),
            ">= 1, >= 1, >= 0",
        )
        self.settings = dict(
            image_channels=image_channels,
            channels=channels,
            multipliers=tuple(multipliers),
            blocks=blocks,
            attention=attention,
            classes=classes,
            dropout=dropout,
        )
        self.frequencies, width = channels // 2, 2 * channels
        self.embed_noise = nn.Sequential(
            nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.embed_class = nn.Embedding(classes, channels) if classes else None

        def block(c_in, c_out, level):
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
        self.last = nn.Sequential(
            _norm(c), nn.SiLU(), _zero(nn.Conv2d(c, image_channels, 3, padding=1))
        )

    def _embedding(self, c_noise, labels):
        powers = torch.arange(self.frequencies, device=c_noise.device) / self.frequencies
        angles = c_noise[:, None] * torch.exp(-log(10_000) * powers)
        features = torch.cat([angles.cos(), angles.sin()], dim=1)
        require(
            self.embed_class is not None or labels is None,
            "labels",
            "given",
            "None: this network has no classes",
        )
        if labels is not None:
            require(
                isinstance(labels, torch.Tensor)
                and labels.shape == c_noise.shape
                and labels.dtype in (torch.int64, torch.int32),
                "labels",
                getattr(labels, "dtype", labels),
                f"integers of shape {tuple(c_noise.shape)}",
            )
            require(
                bool(((labels >= 0) & (labels < self.embed_class.num_embeddings)).all()),
                "labels",
                f"{labels.min().item()} … {labels.max().item()}",
                f"in 0 … {self.embed_class.num_embeddings - 1}",
            )
            features = features + self.embed_class(labels)
        return self.embed_noise(features)

    def forward(self, x, c_noise, labels=None):
        s = self.settings
        factor = 2 ** (len(s["multipliers"]) - 1)
        require(
            x.ndim == 4
            and x.shape[1] == s["image_channels"]
            and x.shape[2] % factor == x.shape[3] % factor == 0,
            "x.shape",
            tuple(x.shape),
            f"(B, {s['image_channels']}, H, W) with H and W divisible by {factor}",
        )
        require(c_noise.shape == x.shape[:1], "c_noise.shape", tuple(c_noise.shape), f"({len(x)},)")
        embedding = self._embedding(c_noise, labels)
        h = self.first(x)
        skips = [h]
        for layer in self.down:
            h = layer(h, embedding) if isinstance(layer, Block) else layer(h)
            skips.append(h)
        h = self.middle(h, embedding)
        for layer in self.up:
            h = (
                layer(torch.cat([h, skips.pop()], dim=1), embedding)
                if isinstance(layer, Block)
                else layer(F.interpolate(h, scale_factor=2, mode="nearest"))
            )
        return self.last(h)
