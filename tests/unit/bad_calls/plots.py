"""Bad calls of plots."""

import torch
from matplotlib.figure import Figure

from fewstep import plots

X, FIGURE = torch.zeros(4, 1, 8, 8), Figure()


def images(f):
    """What must be refused as pictures."""
    return [
        (lambda: f(None), "images = None: must be a tensor (N, 1 or 3, H, W)"),
        (lambda: f(X.numpy()), "images = array"),
        (lambda: f(X[0]), "images.shape = (1, 8, 8)"),
        (lambda: f(X[:0]), "images.shape = (0, 1, 8, 8)"),
        (lambda: f(X.expand(-1, 2, -1, -1)), "images.shape = (4, 2, 8, 8)"),
        (lambda: f(X.long()), "images.dtype = torch.int64"),
        (lambda: f(X > 0), "images.dtype = torch.bool"),
        (lambda: f(X.to(torch.complex64)), "images.dtype = torch.complex64"),
        (lambda: f(X / 0), "images = 'NaN or infinity': must be finite"),
    ]


def slider(draw=lambda value: FIGURE, values=(1, 2), **changes):
    return plots.slider(draw, values, **{"label": "k", "alt": "A bar.", **changes})


BAD = {
    "plots.tile": [
        *images(plots.tile),
        (lambda: plots.tile(X, 0), "columns = 0"),
        (lambda: plots.tile(X, -1), "columns = -1"),
        (lambda: plots.tile(X, 2.5), "columns = 2.5"),
        (lambda: plots.tile(X, "two"), "columns = 'two'"),
    ],
    "plots.pictures": [
        *images(lambda x: plots.pictures(x, "t")),
        (lambda: plots.pictures(X, None), "title = None"),
        (lambda: plots.pictures(X, "t", columns=0), "columns = 0"),
        (lambda: plots.pictures(X, "t", width=0), "width = 0"),
        (lambda: plots.pictures(X, "t", width="wide"), "width = 'wide'"),
        (lambda: plots.pictures(X, "t", width=float("nan")), "width = nan"),
    ],
    "plots.show": [
        (lambda: plots.show(None, "x"), "figure = None: must be a matplotlib Figure"),
        (lambda: plots.show(X, "x"), "figure = a tensor (4, 1, 8, 8)"),
        (lambda: plots.show(FIGURE, ""), "alt = '': must be a description"),
        (lambda: plots.show(FIGURE, None), "alt = None"),
        (lambda: plots.show(FIGURE, 5), "alt = 5"),
    ],
    "plots.save": [
        (lambda: plots.save(None, "a.svg"), "figure = None: must be a matplotlib Figure"),
        (lambda: plots.save(FIGURE, "a.png"), "path = 'a.png': must be a name that ends in .svg"),
        (lambda: plots.save(FIGURE, None), "path = None"),
    ],
    "plots.slider": [
        (lambda: slider(draw=None), "draw = None: must be a function"),
        (lambda: slider(draw=lambda value: None), "draw(2) = None: must be a matplotlib Figure"),
        (lambda: slider(values=None), "values = None: must be a list of values"),
        (lambda: slider(values=5), "values = 5"),
        (lambda: slider(values=[1]), "values = [1]: must be two values or more"),
        (lambda: slider(label=None), "label = None"),
        (lambda: slider(alt=" "), "alt = ' '"),
        (lambda: slider(form="{:.1q}"), "form = '{:.1q}': must fit the values"),
        (lambda: slider(form="{} {}"), "form = '{} {}'"),
        (lambda: slider(form="{k}"), "form = '{k}'"),
        (lambda: slider(form=None), "form = None"),
        (lambda: slider(start=2), "start = 2: must be an integer in 0 … 1"),
        (lambda: slider(start="first"), "start = 'first'"),
    ],
}
