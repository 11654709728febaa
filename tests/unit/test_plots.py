"""Pictures and sliders, without a browser; the site's tests move the sliders in one."""

import base64
from html.parser import HTMLParser

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch

from fewstep import data, plots


class Tags(HTMLParser):
    """All opening tags of a piece of HTML: [(tag, attributes), …]."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def tags(text, name):
    return [attributes for tag, attributes in Tags(text).found if tag == name]


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", shown.append)
    monkeypatch.setattr(plots, "get_ipython", lambda: "a kernel")
    monkeypatch.delenv("FEWSTEP_STATIC", raising=False)
    return shown


@pytest.fixture
def draw():
    """A bar as high as the value; ``draw.calls`` lists the values drawn."""

    def bar(value):
        bar.calls.append(value)
        figure, axes = plt.subplots(figsize=(3, 2))
        axes.bar([0], [value])
        axes.set_ylim(0, 10)
        return figure

    bar.calls = []
    return bar


def drawing(image):
    """The SVG in an <img> tag's attributes."""
    kind, data = image["src"].split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(data).decode()


def test_show_has_alternative_text_and_leaves_no_figure_open(displayed, draw):
    plots.show(draw(3), 'A bar of "height" 3 < 4.')
    (image,) = tags(displayed[0]._repr_html_(), "img")
    assert image["alt"] == 'A bar of "height" 3 < 4.' and image["width"] == "288"
    assert image["height"] == "192" and 'width="216pt" height="144pt"' in drawing(image)
    assert repr(displayed[0]) == '[A bar of "height" 3 < 4.]'
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "  ", None])
def test_pictures_without_alternative_text_are_refused(displayed, draw, alt):
    with pytest.raises(ValueError, match="alt"):
        plots.show(plt.figure(), alt)
    with pytest.raises(ValueError, match="alt"):
        plots.slider(draw, [1, 2], label="k", alt=alt)
    assert displayed == [] and draw.calls == []
    plt.close("all")


def test_slider_needs_two_values(displayed, draw):
    with pytest.raises(ValueError, match="values"):
        plots.slider(draw, [1], label="k", alt="A bar.")


@pytest.fixture
def static(displayed, draw, monkeypatch):
    monkeypatch.setenv("FEWSTEP_STATIC", "1")
    plots.slider(draw, [1, 5, 9], label='height "h"', alt="A bar.", form="{:.1f}")
    return displayed[0]._repr_html_()


def test_static_slider_holds_all_frames_and_shows_the_first(static, draw):
    frames = tags(static, "img")
    assert draw.calls == [1, 5, 9] and plt.get_fignums() == []
    around = tags(static, "span")
    assert ["hidden" in frame for frame in around] == [True, False, True]  # the middle one shows
    assert [frame["alt"] for frame in frames] == [
        f'A bar. height "h" = {value}.' for value in ("1.0", "5.0", "9.0")
    ]
    assert [frame["data-caption"] for frame in around] == [
        f'height "h" = {value}' for value in ("1.0", "5.0", "9.0")
    ]
    assert len({drawing(frame) for frame in frames}) == 3


def test_static_slider_needs_nothing_from_outside(static):
    (control,) = tags(static, "input")
    assert (control["type"], control["min"], control["max"], control["value"]) == (
        "range",
        "0",
        "2",
        "1",
    )
    assert (control["aria-label"], control["aria-valuetext"]) == ('height "h"', 'height "h" = 5.0')
    assert tags(static, "script") == [] and "http" not in control["oninput"]


def test_live_slider_draws_the_chosen_frame_once(displayed, draw, static):
    """No front end: the kernel's side of the control is moved, as a browser would move it."""
    draw.calls.clear()
    frames = tags(static, "img")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FEWSTEP_STATIC")
        plots.slider(draw, [1, 5, 9], label='height "h"', alt="A bar.", form="{:.1f}")
    box = displayed[-1]
    picture, row = box.children
    player, control = row.children
    assert isinstance(control, ipywidgets.SelectionSlider) and control.description == 'height "h"'
    for index, calls in ((1, [5]), (2, [5, 9]), (0, [5, 9, 1]), (2, [5, 9, 1])):
        control.index = index
        (image,) = tags(picture.value, "img")
        assert image["alt"] == frames[index]["alt"]
        assert image["src"] == frames[index]["src"], "the live picture is not the static one"
        assert draw.calls == calls
    player.value = 1
    assert control.index == 1


def test_script_draws_one_frame(displayed, draw, monkeypatch):
    monkeypatch.setattr(plots, "get_ipython", lambda: None)
    plots.slider(draw, [1, 5, 9], label="h", alt="A bar.")
    assert draw.calls == [5] and repr(displayed[0]) == "[A bar. h = 5.]"


def test_tile_puts_images_row_by_row():
    levels = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    grid = plots.tile(levels[:, None, None, None].expand(5, 1, 8, 8), columns=3)
    assert grid.shape == (2 * 9 - 1, 3 * 9 - 1, 1)
    assert [grid[4, 4 + 9 * c].item() for c in range(3)] == [0, 0.25, 0.5]
    assert [grid[13, 4 + 9 * c].item() for c in range(3)] == [0.75, 1, 1]  # the last place is empty
    assert (grid[8] == 1).all() and (grid[:, 8] == 1).all()


def test_tile_clips_and_keeps_colours():
    image = torch.tensor([3.0, 0.0, -3.0])[None, :, None, None].expand(1, 3, 4, 4)
    grid = plots.tile(image)
    assert grid.shape == (4, 4, 3) and grid[0, 0].tolist() == [1, 0.5, 0]


def test_bytes_are_drawn_as_the_floats_they_stand_for():
    x = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
    assert torch.equal(plots.tile(x), plots.tile(data.to_float(x)))
    assert plots.tile(x)[0, 0] == 0 and plots.tile(x)[-1, -1] == 1
    assert torch.equal(plots.tile(x.double() / 255), plots.tile(x.float() / 255))


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (5, 2, 8, 8)])
def test_tile_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="images.shape"):
        plots.tile(torch.zeros(shape))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_has_a_title_and_no_axes(channels):
    figure = plots.pictures(torch.zeros(4, channels, 8, 8), "Nothing", columns=4)
    (axes,) = figure.axes
    assert axes.get_title() == "Nothing" and not axes.axison
    plt.close(figure)


def test_style_tells_lines_apart_without_colour():
    with plt.rc_context():
        plots.style()
        cycle = list(plt.rcParams["axes.prop_cycle"])
    assert (
        len({entry["color"] for entry in cycle})
        == len({entry["marker"] for entry in cycle})
        == len(cycle)
        >= 6
    )


def test_saved_figures_are_the_same_bytes_and_heavy_ones_hold_pixels(tmp_path, draw):
    for name in ("a.svg", "b.svg"):
        plots.save(draw(3), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "<image" not in (tmp_path / "a.svg").read_text()
    figure, axes = plt.subplots()
    axes.plot(torch.rand(20_000))
    plots.save(figure, tmp_path / "many.svg")
    assert "<image" in (tmp_path / "many.svg").read_text() and plt.get_fignums() == []
