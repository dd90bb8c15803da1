"""Tables that are looked at like figures."""

import pandas as pd

from reidlab import plots


def test_a_wrapped_table_wraps_its_texts_and_shows_them_as_text():
    bad = "<script>x</script>"
    html = plots.wrapped(pd.DataFrame({bad: [bad, "long " * 40]}, index=[bad, "second"])).to_html()
    assert 'class="dataframe"' in html
    assert "white-space: normal" in html
    assert html.count("long ") == 40
    assert "<script" not in html
    assert html.count("&lt;script&gt;x&lt;/script&gt;") == 3
