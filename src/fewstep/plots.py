"""Pictures: image grids, figures with alternative text, and a slider that works on a static page.

Figures go through ``show`` because a notebook's own display of a figure has no alternative text.
They are SVG: sharp at every size, and the site recolours their greys for its dark theme. So ink is
black or grey and paper white; a colour keeps what it means in both themes.
"""

import base64
import html
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from einops import rearrange
from IPython import get_ipython
from IPython.display import display
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from . import _files
from ._checks import count, function, number, require
from ._svg import svg
from .data import require_pictures, to_float

# Okabe & Ito's: told apart with every common form of colour-blindness, on white and on dark.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
# From nothing to grey, for densities: seen on white and on dark.
SHADE = LinearSegmentedColormap.from_list("shade", [(0.5, 0.5, 0.5, 0.0), (0.5, 0.5, 0.5, 0.95)])


def style() -> None:
    """Set the course's look for all following figures.

    Lines get markers, for measured points; smooth curves say ``marker=""``.
    """
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=COLOURS, marker=MARKERS),
            "lines.markersize": 4,
            "figure.constrained_layout.use": True,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 10,
        }
    )


def tile(images: torch.Tensor, columns: int | None = None) -> torch.Tensor:
    """One picture of many, row by row, with thin white gaps: (H', W', 1 or 3) in [0, 1].

    images: (B, 1 or 3, H, W), uint8, or float in [−1, 1]; what lies beyond is clipped, so that
    noisy states can be shown too.  columns: None for about as many as rows.
    Raises ValueError for other shapes and types, and for NaN.
    """
    require_pictures("images", images)
    columns = max(1, round(len(images) ** 0.5)) if columns is None else count("columns", columns)
    images = images.detach().cpu()
    images = to_float(images if images.dtype == torch.uint8 else images.float())
    images = images.clamp(-1, 1) / 2 + 0.5
    gap = max(1, images.shape[-1] // 16)
    padded = torch.nn.functional.pad(images, (0, gap, 0, gap), value=1.0)
    short = -len(images) % columns
    padded = torch.cat([padded, torch.ones(short, *padded.shape[1:])])
    return rearrange(padded, "(r c) k h w -> (r h) (c w) k", c=columns)[:-gap, :-gap]


def pictures(
    images: torch.Tensor, title: str, columns: int | None = None, width: float | None = None
) -> Figure:
    """A figure of pictures in a grid under a title.

    images, columns: see :func:`tile`.  width: in inches; None for one that shows the pixels.
    """
    require(isinstance(title, str), "title", title, "a text")
    grid = tile(images, columns)
    width = min(7.0, grid.shape[1] / 16) if width is None else number("width", width, above=0)
    figure, axes = plt.subplots(figsize=(width, width * grid.shape[0] / grid.shape[1] + 0.35))
    shown = (grid if grid.shape[2] == 3 else grid[..., 0]).numpy()
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title)
    axes.axis("off")
    return figure


class Picture:
    """HTML for notebooks, its alternative text where only text can be shown."""

    def __init__(self, markup: str, alt: str):
        self.markup, self.alt = markup, alt

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return f"[{self.alt}]"


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as SVG, as the pages use it, and close it.

    path: a name that ends in .svg.
    Raises ValueError for another ending, and for other things than a matplotlib Figure.
    """
    require(isinstance(figure, Figure), "figure", figure, "a matplotlib Figure")
    drawing = isinstance(path, str | Path) and Path(path).suffix == ".svg"
    require(drawing, "path", path, "a name that ends in .svg")
    with _files.replacing(Path(path)) as part:
        part.write_bytes(svg(figure))


def _image_tag(figure: Figure, alt: str) -> str:
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    data = base64.b64encode(svg(figure)).decode()
    return (
        f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(alt)}" '
        f'width="{width}" height="{height}" style="max-width:100%;height:auto">'
    )


def _check_alt(alt: Any) -> None:
    described = isinstance(alt, str) and alt.strip()
    require(described, "alt", alt, "a description of the picture for those who cannot see it")


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook, and close it.

    alt: one or two sentences that say what it shows, for those who cannot see it.
    """
    require(isinstance(figure, Figure), "figure", figure, "a matplotlib Figure")
    _check_alt(alt)
    display(Picture(_image_tag(figure, alt), alt))


def slider(
    draw: Callable[[Any], Figure],
    values: Sequence,
    *,
    label: str,
    alt: str,
    form: str = "{}",
    start: int | None = None,
) -> None:
    """Display a figure above a slider, captioned "label = value".

    draw: from a value to its figure.  values: two or more.  form: how a value is written.
    alt: what the figures show, for those who cannot see them; the caption is added.
    start: which value comes first, by its index; None for the one in the middle.
    In a live kernel it is an ipywidgets slider that draws on demand. Where the page will be static
    (the environment has ``FEWSTEP_STATIC=1``, as when the site is built) all frames are drawn at
    once and the slider needs no kernel.
    """
    function("draw", draw, "from a value to a figure")
    try:
        values = list(values)
    except TypeError as error:
        raise ValueError(f"values = {values!r}: must be a list of values") from error
    require(len(values) >= 2, "values", values, "two values or more")
    require(isinstance(label, str), "label", label, "a word")
    _check_alt(alt)
    try:
        written = [form.format(value) for value in values]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"form = {form!r}: must fit the values, such as '{{:.1f}}'") from error

    start = len(values) // 2 if start is None else count("start", start, 0, len(values) - 1)

    def frame(i: int) -> str:
        figure = draw(values[i])
        require(isinstance(figure, Figure), f"draw({values[i]})", figure, "a matplotlib Figure")
        return _image_tag(figure, f"{alt} {label} = {written[i]}.")

    if os.environ.get("FEWSTEP_STATIC") == "1":
        display(Picture(_static_slider(frame, written, label, start), alt))
    elif get_ipython() is None:  # a plain script has no slider
        display(Picture(frame(start), f"{alt} {label} = {written[start]}."))
    else:
        display(_live_slider(frame, written, label, start))


def _static_slider(frame: Callable[[int], str], written: list[str], label: str, start: int) -> str:
    captions = [html.escape(f"{label} = {value}") for value in written]
    frames = "".join(
        f'<span data-caption="{caption}"{" hidden" * (i != start)}>{frame(i)}</span>'
        for i, caption in enumerate(captions)
    )
    # The handlers are inline and look only inside their own figure: no script to load, no
    # identifiers to clash.
    move = (
        "const f=this.closest('figure'),p=f.querySelectorAll('[data-caption]');"
        "p.forEach((x,i)=>x.hidden=i!=this.value);"
        "const c=p[this.value].dataset.caption;"
        "f.querySelector('output').value=c;this.setAttribute('aria-valuetext',c)"
    )
    play = (
        "const b=this,r=b.closest('figure').querySelector('input'),stop=()=>{"
        "clearInterval(b.t);b.t=0;b.textContent='▶';b.setAttribute('aria-label','play')};"
        "if(b.t)return stop();if(r.value==r.max)r.value=0;else r.stepUp();"
        "r.dispatchEvent(new Event('input'));b.textContent='⏸';"
        "b.setAttribute('aria-label','pause');"
        "b.t=setInterval(()=>{if(r.value==r.max)return stop();r.stepUp();"
        "r.dispatchEvent(new Event('input'))},400)"
    )
    ends = [html.escape(value) for value in (written[0], written[-1])]
    # Not completed by the browser: after a reload it would put the handle back, but not the frame.
    return (
        '<figure class="fewstep-slider" '
        'style="margin:0;width:fit-content;max-width:100%;text-align:center">'
        f'{frames}<div style="display:flex;gap:.6em;align-items:center">'
        f'<button type="button" aria-label="play" onclick="{play}">▶</button>'
        f"<small>{ends[0]}</small>"
        f'<input type="range" min="0" max="{len(captions) - 1}" value="{start}" '
        f'autocomplete="off" style="flex:1;min-width:5em" aria-label="{html.escape(label)}" '
        f'aria-valuetext="{captions[start]}" oninput="{move}"><small>{ends[1]}</small></div>'
        f'<output aria-live="off">{captions[start]}</output></figure>'
    )


def _live_slider(frame: Callable[[int], str], written: list[str], label: str, start: int) -> Any:
    import ipywidgets

    control = ipywidgets.SelectionSlider(
        options=[(value, i) for i, value in enumerate(written)],
        value=start,
        description=label,
        style={"description_width": "initial"},
        layout={"width": "min(100%, 32em)"},
    )
    player = ipywidgets.Play(value=start, max=len(written) - 1, interval=400)
    ipywidgets.link((player, "value"), (control, "index"))
    picture = ipywidgets.HTML()
    drawn: dict[int, str] = {}

    def update(change: dict) -> None:
        i = change["new"]
        if i not in drawn:
            drawn[i] = frame(i)
        picture.value = drawn[i]

    control.observe(update, names="value")
    update({"new": start})
    return ipywidgets.VBox([picture, ipywidgets.HBox([player, control])])
