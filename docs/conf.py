"""How the documentation is built: HTML and man pages, with Sphinx alone."""

import configparser
from pathlib import Path

_metadata = configparser.ConfigParser()
_metadata.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")

project = "koboshi"
author = "the koboshi contributors"
copyright = author  # noqa: A001  (Sphinx names it so)
version = release = _metadata["metadata"]["version"]

extensions: list[str] = []
root_doc = "index"
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False
highlight_language = "text"

html_theme = "alabaster"
html_theme_options = {
    "description": "Keeps web servers up",
    "fixed_sidebar": True,
    "page_width": "1100px",
    "show_powered_by": False,
}
html_show_copyright = False
html_copy_source = False

man_pages = [
    ("man/koboshi", "koboshi", "keep web servers up: notice, explain, repair", author, 8),
    ("man/koboshi.toml", "koboshi.toml", "which web servers koboshi keeps up, and how patiently", author, 5),
]
_about = "{} under a cluster, repaired on the spot"
man_pages += [
    (f"man/{page.stem}", page.stem, _about.format(page.stem.removeprefix("ocf_koboshi_")), author, 7)
    for page in sorted((Path(__file__).parent / "man").glob("ocf_koboshi_*.rst"))
]
