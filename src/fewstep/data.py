"""Pictures and toy distributions: the data that the course models.

Every loader returns an :class:`Images`: one tensor of pictures, one of labels. Sets that fit in memory as
8-bit integers stay so and become float32 in [-1, 1] a batch at a time.
"""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Images:
    """Labelled pictures in memory.

    x: (N, C, H, W), uint8 in 0..255 or float32 in [-1, 1].  labels: (N,) int64 in 0..len(classes)-1.
    classes: the classes' names.  name: what the set is called in tables.
    Raises ValueError for a wrong shape or dtype, a label out of range, NaN.
    """

    x: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self):
        x, labels = self.x, self.labels
        if x.ndim != 4 or len(x) == 0:
            raise ValueError(f"x: shape {tuple(x.shape)}; allowed is (N, C, H, W) with N > 0")
        if x.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"x: dtype {x.dtype}; allowed are torch.uint8 and torch.float32")
        if x.dtype == torch.float32 and not (x.abs() <= 1).all():
            raise ValueError(f"x: values from {x.min():g} to {x.max():g}; float pictures must lie in [-1, 1]")
        if labels.shape != (len(x),) or labels.dtype != torch.int64:
            raise ValueError(f"labels: {tuple(labels.shape)} {labels.dtype}; allowed is ({len(x)},) torch.int64")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            raise ValueError(f"labels: values from {low} to {high}; allowed are 0 to {len(self.classes) - 1}")

    def __len__(self):
        return len(self.x)

    @property
    def shape(self):
        """(C, H, W) of one picture."""
        return tuple(self.x.shape[1:])

    def float(self, rows=slice(None)):
        """Pictures as float32 in [-1, 1]; rows: an index, slice or index tensor (default: all)."""
        return to_float(self.x[rows])

    def subset(self, rows):
        """The pictures at these rows (a slice, an index or mask tensor), as another :class:`Images`."""
        return replace(self, x=self.x[rows], labels=self.labels[rows])

    def split(self, n, seed=0):
        """Two disjoint random parts: one of n pictures, one of the rest."""
        if not 0 < n < len(self):
            raise ValueError(f"n: {n}; allowed is 1 to {len(self) - 1}")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.subset(order[:n]), self.subset(order[n:])


def to_float(x):
    """Pictures as float32 in [-1, 1]: uint8 0..255 is mapped linearly, float32 is left as it is."""
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


def digits():
    """scikit-learn's 1797 handwritten digits, 8 × 8 grey: values 0..16 mapped exactly to [-1, 1]. No download."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).float().div(8).sub(1)[:, None]
    return Images(x, torch.from_numpy(bunch.target).long(), tuple("0123456789"), "digits")
