"""Takes out again what Jupyter Book puts on every page and this book wants only where it is needed.

Jupyter Book links each ``.js`` file below ``_static`` from every page, MathJax included, which is vendored there.
Sphinx links MathJax by itself, with its settings, from the pages that have formulas.
"""

from sphinx.application import Sphinx
from sphinx.config import Config


def mathjax_only_where_needed(app: Sphinx, config: Config) -> None:
    """Drop the vendored scripts from the list of scripts for all pages."""
    config.html_js_files = [file for file in config.html_js_files if not str(file).startswith("mathjax/")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx, before the builder reads its list of scripts."""
    app.connect("config-inited", mathjax_only_where_needed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
