"""Tables that are looked at like figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler


def wrapped(table: pd.DataFrame) -> Styler:
    """Return a table whose long texts are wrapped, in the book's look; what they hold is text, not HTML."""
    look = {"white-space": "normal", "text-align": "left", "vertical-align": "top"}
    style = table.style.format(escape="html")
    for axis in (0, 1):
        style = style.format_index(escape="html", axis=axis)
    return style.set_properties(**look).set_table_attributes('class="dataframe"')
