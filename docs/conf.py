"""Configuration of the documents, built by ``make docs``."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "medmamba-monai"
author = "the medmamba-monai developers"
copyright = "the medmamba-monai developers, Apache License 2.0"
release = installed_version("medmamba-monai")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings write names in single backticks where they mean code

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the tests run the notebooks; what they print is committed with them

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # fields stand once, in the list of attributes
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "medmamba-monai"
html_math_renderer = "mathml"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def copy_bundle_pages(app: Sphinx) -> None:
    """Copy the README of each bundle to ``reference/bundles``, with the headings of a page of this site.

    The README has the headings of the model zoo's template, which begin anew at the first level for the licence.
    """
    for readme in sorted((ROOT / "bundles").glob("*/docs/README.md")):
        first, _, rest = readme.read_text(encoding="utf-8").partition("\n")
        rest = re.sub(r"^#{1,3} \**(.+?)\**$", r"## \1", rest, flags=re.MULTILINE)
        rest = re.sub(r"^#{4} \**(.+?)\**$", r"### \1", rest, flags=re.MULTILINE)
        _write_if_other(DOCS / "reference" / "bundles" / f"{readme.parts[-3]}.md", f"{first}\n{rest}")


def copy_examples(app: Sphinx) -> None:
    """Copy the notebooks to ``examples``: Sphinx reads only what lies below its folder."""
    for notebook in sorted((ROOT / "examples").glob("*.ipynb")):
        _write_if_other(DOCS / "examples" / notebook.name, notebook.read_text(encoding="utf-8"))


def link_bundle_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to a bundle's README, which work in the repository, lead to its page of this site."""
    source[0] = re.sub(r"\]\((?:\.\./)+bundles/(\w+)/docs/README\.md\)", r"](/reference/bundles/\1.md)", source[0])


def _write_if_other(path: Path, text: str) -> None:
    """Write a file only where its text changed, so that Sphinx does not read it anew."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def skip_field(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leave out what a NamedTuple says of its fields, "alias for field number 0"; the class describes them."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def visit_inline_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers draw without a script and without a network."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own line as MathML."""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Connect what is particular to these documents."""
    app.add_html_math_renderer("mathml", (visit_inline_math, None), (visit_math_block, None))
    app.connect("builder-inited", copy_bundle_pages)
    app.connect("builder-inited", copy_examples)
    app.connect("autodoc-skip-member", skip_field)
    app.connect("source-read", link_bundle_pages)
