"""Figures as SVG, for :mod:`fewstep.plots` and :mod:`fewstep.results`."""

import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MANY = 5000  # points of an axes from which on a figure draws them in pixels


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figure.  Closes it.

    What has many points is drawn in pixels inside it: paths would weigh more and look no better.
    """
    for axes in figure.axes:
        curves = [line for line in axes.get_children() if isinstance(line, Line2D)]
        many = sum(np.size(line.get_xdata()) for line in curves) > MANY
        for artist in axes.get_children():
            if isinstance(artist, Collection):
                paths = max(np.shape(artist.get_offsets())[0], len(artist.get_paths()))
                points = sum(len(path) for path in artist.get_paths())
                artist.set_rasterized(paths > MANY // 10 or points > MANY)
            elif isinstance(artist, Line2D):
                artist.set_rasterized(many)
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "fewstep"}):
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", dpi=144, facecolor="white", metadata=nothing)
    plt.close(figure)
    return buffer.getvalue()
