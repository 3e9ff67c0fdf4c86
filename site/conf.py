"""Settings of the site. `make site` collects its sources (tools/site_builder/) and runs Sphinx with this file."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.site_builder.links import BRANCH  # noqa: E402  # found by the line above

project = "motionlab"
author = "the motionlab authors"
copyright = "the motionlab authors, Apache-2.0"
language = "en"

extensions = ["myst_nb", "tools.site_builder.extension"]
exclude_patterns = ["_build"]
templates_path = [str(ROOT / "site" / "templates")]
html_static_path = [str(ROOT / "site" / "static")]
html_css_files = ["site.css"]
html_favicon = str(ROOT / "site" / "static" / "mark.svg")
html_context = {"default_mode": "auto"}
html_theme = "sphinx_book_theme"
html_title = "motionlab"
html_math_renderer = "svg"  # drawn while the site is built; MathJax would come from another host
html_copy_source = False
html_show_sourcelink = False

# The saved outputs are shown as they are: `make notebooks` made them, and the tests compare them.
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # no widget state is saved; the default would load two scripts from other hosts
nb_merge_streams = True

myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto"]

# Where the repository is public: pyproject.toml, [project.urls], Repository. Without it no page shows a button that
# would lead nowhere. tools/build_site.py hands it over.
repository = os.environ.get("MOTIONLAB_SITE_REPOSITORY", "")

html_theme_options = {
    "article_header_end": ["language-link.html", "article-header-buttons.html"],
    "use_download_button": False,  # the sources of the build are not the files of the repository
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # one place to search is enough
}
if repository:
    html_theme_options |= {
        "repository_url": repository,
        "repository_branch": BRANCH,
        "use_repository_button": True,
        "path_to_docs": ".",
        "launch_buttons": {
            "binderhub_url": "https://mybinder.org",
            **(
                {"colab_url": "https://colab.research.google.com"}
                if repository.startswith("https://github.com/")
                else {}
            ),
        },
    }

# No warning is suppressed: `make site` runs Sphinx with -W, so each of them is an error.
