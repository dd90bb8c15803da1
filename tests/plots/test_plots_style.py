import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import colors as mcolors

from reidlab.plots import style


def luminance(colour):
    """Relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mcolors.to_rgb(colour)]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_context_leaves_the_settings_as_they_were():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["axes.titlelocation"] == "left"
    assert dict(matplotlib.rcParams) == before


def test_use_sets_the_look_of_the_process():
    with matplotlib.rc_context():
        style.use()
        assert matplotlib.rcParams["axes.spines.top"] is False
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(style.PALETTE)


def test_fixed_names_keep_their_colour_beside_any_others():
    assert style.colours(["a", "network"])["network"] == style.colours(["network", "b", "c"])["network"]


@pytest.mark.parametrize("count", [1, 6, 7, 40])
def test_every_name_has_its_own_colour_and_repeats_it(count):
    names = [f"p{i}" for i in range(count)]
    given = style.colours(names + names)
    assert list(given) == names
    assert len(set(given.values())) == count
    assert given == style.colours(names)


def test_line_colours_stand_out_from_white():
    """WCAG asks for 3:1 of graphics; text is drawn in ink, which must pass 7:1."""
    for colour in (*style.PALETTE[:5], style.MATCH, style.OTHER, *style.FIXED.values()):
        assert contrast(colour, "white") >= 2.9, colour
    assert contrast(style.INK, "white") >= 7
    assert contrast(style.QUIET, "white") >= 4.5


def test_a_figure_shows_itself_as_a_picture():
    figure = style.new_figure(2.0)
    figure.add_subplot().plot([0, 1])
    assert figure._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"


def test_plots_never_load_pyplot():
    """With pyplot a notebook would show each figure twice."""
    code = "import sys, reidlab.plots; print({'matplotlib.pyplot', 'umap'} & {*sys.modules})"
    surroundings = os.environ | {"MPLBACKEND": "agg"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=surroundings)
    assert ran.stdout == "set()\n"


def test_styles_repeat_colour_by_a_second_channel():
    assert len(set(style.MARKERS)) == len(style.MARKERS)
    assert len({str(line) for line in style.LINES}) == len(style.LINES) >= len(style.PALETTE)
