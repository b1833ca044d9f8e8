"""Sphinx configuration. ``make docs`` builds the site into ``docs/_build/html``, without network access."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import lightning as L
from docutils import nodes
from sphinx import addnodes
from sphinx.util.nodes import make_refnode

import torchdisentangle
from torchdisentangle.evaluation import Evaluation, Pass
from torchdisentangle.statistics import MergedState

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))
import catalogue
import story_pages

from tests.evaluation import batches
from tests.faults import support
from tests.models import form, library_forms, results, torch_forms

project = "torchdisentangle"
author = "The torchdisentangle developers"
project_copyright = author
release = version = torchdisentangle.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # formulas without a network
]
exclude_patterns = ["_build", "_templates"]
html_extra_path = ["sample"]  # a page of latents
templates_path = ["_templates"]
suppress_warnings = ["autosummary.import_cycle"]  # pages name what they show in full
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!torchdisentangle).*")]  # other libraries' names are not looked up

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
autosummary_context = {"topics": {package: catalogue.topics(package) for package in catalogue.packages()}}
autosummary_ignore_module_all = False
napoleon_custom_sections = ["Reference"]
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "torchdisentangle"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072B2", "color-brand-content": "#0072B2"},
    "dark_css_variables": {"color-brand-primary": "#56B4E9", "color-brand-content": "#56B4E9"},
}


def resolve(app: Any, env: Any, node: Any, contnode: Any) -> nodes.Node | None:
    """Link names by where they are defined, or by their last part, as docstrings say them.

    A name that exists and has no place in the reference becomes plain code; one that does not exist is warned of.
    """
    target = node["reftarget"].lstrip(".")
    if node.get("refdomain") != "py" or not all(part.isidentifier() for part in target.split(".")):
        return None
    known = env.get_domain("py").objects
    scopes = [scope for scope in (node.get("py:class"), node.get("py:module")) if scope]
    for name in (target, *(f"{scope}.{target}" for scope in scopes)):
        if name.startswith(f"{catalogue.ROOT}.") and catalogue.find(name) is not None:
            place = catalogue.home_of(name)
            return _link(app, env, node, contnode, place) if place in known else contnode
    endings = {name for name, entry in known.items() if name.endswith(f".{target}") and not entry.aliased}
    return _link(app, env, node, contnode, endings.pop()) if len(endings) == 1 else None


def _link(app: Any, env: Any, node: Any, contnode: Any, name: str) -> nodes.Node:
    entry = env.get_domain("py").objects[name]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)


def link_classes(app: Any, doctree: nodes.document) -> None:
    """Link the names of classes in running text, so that pages need no markup for them."""
    classes: dict[str, str] = {}
    for topics in app.config.autosummary_context["topics"].values():
        for name in (name for topic in topics for name in topic.classes):
            classes.setdefault(name.rpartition(".")[2], name)
    for literal in list(doctree.findall(nodes.literal)):
        if literal.astext() in classes and isinstance(literal.parent, nodes.paragraph | nodes.entry | nodes.title):
            target = classes[literal.astext()]
            link = addnodes.pending_xref("", refdomain="py", reftype="class", reftarget=target, refdoc=app.env.docname)
            literal.replace_self(link)
            link += literal


def write_tables(app: Any) -> None:
    """Write the tables of what works, from the lists that the tests go through."""
    folder = Path(__file__).parent / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "support": support.table(),
        "models": form.table(torch_forms.FORMS),
        "libraries": form.table(library_forms.FORMS),
        "results": results.table(),
        "batches": batches.table(),
    }
    for name, table in tables.items():
        (folder / f"{name}.inc").write_text(table)


HOOKED = (Evaluation, Pass, MergedState, L.Callback)
"""Bases whose methods are called by the library; a subclass's own version needs no second description."""


def skip(app: Any, what: str, name: str, value: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what says nothing: fields of named tuples, which are among their arguments, and overridden hooks."""
    is_field = (getattr(value, "__doc__", None) or "").startswith("Alias for field number")
    return True if is_field or _overrides_hook(name, getattr(value, "fget", value)) else None


def _overrides_hook(name: str, method: Any) -> bool:
    if not inspect.isfunction(method):
        return False
    owner = catalogue.find(f"{method.__module__}.{method.__qualname__}".rpartition(".")[0])
    return inspect.isclass(owner) and any(
        owner is not base and issubclass(owner, base) and hasattr(base, name) for base in HOOKED
    )


def setup(app: Any) -> None:
    app.connect("builder-inited", story_pages.write_pages)
    app.connect("builder-inited", write_tables)
    app.connect("doctree-read", link_classes)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", skip)
