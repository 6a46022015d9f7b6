"""The site: these pages, the docstrings of the public names, and a tutorial that runs at build.

``make site`` builds it with warnings as errors; nothing in it is fetched from the network.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvbarrier import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
GALLERY = HERE.parent / "figures" / "gallery"
sys.path.insert(0, str(HERE))

project = "kvbarrier"
copyright = "the kvbarrier authors, Apache-2.0"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# A page an algorithm: algorithms/README has the table that leads to them.
suppress_warnings = ["toc.not_included"]

html_theme = "furo"
html_title = f"kvbarrier {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# Every heading is a place that one can link to, by the anchor that GitHub gives it.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "smartquotes"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

napoleon_custom_sections = [("Class attributes", "params_style")]
autodoc_typehints = "signature"
napoleon_google_docstring = True


def write_rows(app: Sphinx) -> None:
    """Write the pages that exist on the site alone: one a row of the referee's table."""
    from row_pages import FOLDER, row_pages

    (HERE / FOLDER).mkdir(exist_ok=True)
    for name, text in row_pages(GALLERY):
        (HERE / FOLDER / f"{name}.md").write_text(text)


def lead_to_rows(app: Sphinx, docname: str, source: list[str]) -> None:
    """On the site every row of the referee's table leads to its page."""
    from row_pages import narrow_table

    if docname == "engines-table":
        source[0] = narrow_table(GALLERY, source[0])


def remove_rows(app: Sphinx, exception: Exception | None) -> None:
    """Leave the folder of the committed pages as it was."""
    from row_pages import FOLDER

    shutil.rmtree(HERE / FOLDER, ignore_errors=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_rows)
    app.connect("source-read", lead_to_rows)
    app.connect("build-finished", remove_rows)
    return {"parallel_read_safe": True}
