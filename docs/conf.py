"""The site: these pages, the docstrings of the public names, and a tutorial that runs at build.

``make site`` builds it with warnings as errors; nothing in it is fetched from the network.
"""

from __future__ import annotations

from kvbarrier import __version__

project = "kvbarrier"
copyright = "the kvbarrier authors, Apache-2.0"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# A page an algorithm: algorithms/README has the table that leads to them.
suppress_warnings = ["toc.not_included"]

html_theme = "furo"
html_title = f"kvbarrier {release}"
html_static_path: list[str] = []
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
