"""Exercises of chapter 05: distances on the line, their bias, extrapolation, kernels, judges."""

import torch

from . import Exercise, Wrong


def _normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


frechet_line = Exercise(
    name="frechet_line",
    arguments=lambda rng: (rng.normal(), rng.uniform(0.2, 3), rng.normal(), rng.uniform(0.2, 3)),
    edges=[(0.0, 1.0, 0.0, 1.0), (0.0, 4.0, 1.0, 9.0)],
    solution=lambda m1, v1, m2, v2: (m1 - m2) ** 2 + (v1**0.5 - v2**0.5) ** 2,
    wrong=[
        Wrong(
            lambda m1, v1, m2, v2: (m1 - m2) ** 2 + (v1 - v2) ** 2,
            "v1 and v2 are variances. It is the standard deviations that are compared.",
        ),
        Wrong(
            lambda m1, v1, m2, v2: (m1 - m2) ** 2 + abs(v1 - v2),
            "v1 + v2 − 2·(something) is not v1 − v2. The something is the square root of v1 v2.",
        ),
        Wrong(
            lambda m1, v1, m2, v2: ((m1 - m2) ** 2 + (v1**0.5 - v2**0.5) ** 2) ** 0.5,
            "The root is not taken: FD, like FID, is the squared distance.",
        ),
        Wrong(
            lambda m1, v1, m2, v2: abs(m1 - m2) + abs(v1**0.5 - v2**0.5),
            "Squares: the mean of (X − Y)², not of |X − Y|.",
        ),
    ],
)


def _pairs(r):
    return (r[:, None] * r / (r[:, None] + r)).sum()


expected_floor = Exercise(
    name="expected_floor",
    arguments=lambda rng: (
        torch.from_numpy(rng.uniform(0.1, 2, 5)),
        int(rng.integers(50, 500)),
        int(rng.integers(50, 500)),
    ),
    edges=[(torch.ones(64, dtype=torch.float64), 1000, 1000), (torch.tensor([2.0]), 10, 20)],
    solution=lambda r, n1, n2: (1 / n1 + 1 / n2) * (r.sum() + _pairs(r) / 2 + r.sum() / 4),
    wrong=[
        Wrong(
            lambda r, n1, n2: (1 / n1 + 1 / n2) * (_pairs(r) / 2 + r.sum() / 4),
            "This is the covariances' part, Γ. The means' part, the trace, is missing.",
        ),
        Wrong(
            lambda r, n1, n2: (1 / n1 + 1 / n2) * (r.sum() + _pairs(r) / 2),
            "The last term of Γ is missing: a variance fluctuates twice as much as a covariance.",
        ),
        Wrong(
            lambda r, n1, n2: (1 / n1 + 1 / n2) * (r.sum() + _pairs(r) + r.sum() / 4),
            "A factor ½ before the double sum is missing.",
        ),
        Wrong(
            lambda r, n1, n2: (1 / n1 + 1 / n2) * (r.sum() + r.sum() / 2),
            "Only the diagonal: the double sum runs over all pairs, also of different features.",
        ),
        Wrong(
            lambda r, n1, n2: (2 / (n1 + n2)) * (r.sum() + _pairs(r) / 2 + r.sum() / 4),
            "Both sets add their own bias: 1/n1 + 1/n2.",
        ),
    ],
)


def _line(u, values, weights=None):
    """Intercept and slope of the least-squares line through (u, values)."""
    w = torch.ones_like(u) if weights is None else weights
    mean_u, mean_v = (w * u).sum() / w.sum(), (w * values).sum() / w.sum()
    slope = (w * (u - mean_u) * (values - mean_v)).sum() / (w * (u - mean_u) ** 2).sum()
    return mean_v - slope * mean_u, slope


to_infinity = Exercise(
    name="to_infinity",
    arguments=lambda rng: (
        torch.tensor([100.0, 200.0, 400.0, 800.0], dtype=torch.float64),
        torch.from_numpy(rng.uniform(1, 2, 4)).sort(descending=True).values,
    ),
    edges=[(torch.tensor([100.0, 200.0]), torch.tensor([4.0, 2.5]))],
    solution=lambda n, values: _line(1 / n, values)[0],
    wrong=[
        Wrong(
            lambda n, values: _line(n, values)[0],
            "A line in n has its intercept at n = 0. Fit a line in 1/n.",
        ),
        Wrong(
            lambda n, values: _line(1 / n, values)[1],
            "This is the slope, the coefficient of the bias. The intercept is asked for.",
        ),
        Wrong(
            lambda n, values: _line(n**-0.5, values)[0],
            "The spread falls like 1/√n; the bias falls like 1/n.",
        ),
        Wrong(
            lambda n, values: values[-1],
            "The value at the largest n still holds a bias: extrapolate.",
        ),
        Wrong(
            lambda n, values: values.mean(),
            "A mean over sizes mixes different biases: extrapolate.",
        ),
    ],
)


def _kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def _off(k, n):
    return (k.sum() - k.diagonal().sum()) / n


def _distance(kernel, x, y):
    n, m = len(x), len(y)
    within = _off(kernel(x, x), n * (n - 1)) + _off(kernel(y, y), m * (m - 1))
    return within - 2 * kernel(x, y).mean()


kernel_distance = Exercise(
    name="kernel_distance",
    arguments=lambda rng: (_normal(rng, 5, 3), _normal(rng, 7, 3) + 0.3),
    edges=[(torch.ones(2, 1, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64))],
    solution=lambda x, y: _distance(_kernel, x, y),
    wrong=[
        Wrong(
            lambda x, y: _kernel(x, x).mean() + _kernel(y, y).mean() - 2 * _kernel(x, y).mean(),
            "Pictures are paired with themselves: leave the diagonals out.",
        ),
        Wrong(
            lambda x, y: (
                _off(_kernel(x, x), len(x) ** 2)
                + _off(_kernel(y, y), len(y) ** 2)
                - 2 * _kernel(x, y).mean()
            ),
            "Without the diagonal there are n(n − 1) pairs, not n²: divide by these.",
        ),
        Wrong(
            lambda x, y: _distance(lambda a, b: (a @ b.T + 1) ** 3, x, y),
            "The product is divided by the number of features before 1 is added.",
        ),
        Wrong(
            lambda x, y: _distance(_kernel, x, y) + _kernel(x, y).mean(),
            "The mixed term counts twice, as in (a − b)² = a² + b² − 2ab.",
        ),
    ],
)


def _blind(off, on):
    """The part of ``on`` that is orthogonal to ``off``."""
    return on - (on @ off) / (off @ off) * off


biased_judge = Exercise(
    name="biased_judge",
    arguments=lambda rng: (_normal(rng, 4), _normal(rng, 4)),
    edges=[
        (
            torch.tensor([1.0, 0.2], dtype=torch.float64),
            torch.tensor([0.2, 1.0], dtype=torch.float64),
        )
    ],
    solution=lambda favourite, other: (u := _blind(favourite, other)) / torch.linalg.vector_norm(u),
    wrong=[
        Wrong(
            lambda favourite, other: other / torch.linalg.vector_norm(other),
            "This sees the other one's fault best, but it still sees the favourite's: "
            "take away the part along it.",
        ),
        Wrong(
            lambda favourite, other: (u := _blind(other, favourite)) / torch.linalg.vector_norm(u),
            "Turned round: this judge is blind to the other one's fault.",
        ),
        Wrong(
            lambda favourite, other: _blind(favourite, other),
            "Blind to the favourite's fault, as it should be. Give it length 1.",
        ),
        Wrong(
            lambda favourite, other: (
                (u := other - (other @ favourite) * favourite) / torch.linalg.vector_norm(u)
            ),
            "The projection on a vector that is not of length 1 is divided by its squared length.",
        ),
    ],
)
