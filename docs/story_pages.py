"""Pages of the documentation made from the READMEs of the examples, which are written to be read in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
EXAMPLES, PAGES = DOCS.parent / "examples", DOCS / "stories"


def as_page(text: str, story: str) -> str:
    """A story's README with links that hold in the documentation; those to code become plain text.

    Example:
        >>> as_page("![a](b.png), [c](../../docs/d.md), [`E`](../../src/e.py), [f](main.py)", "torus")
        '![a](../../examples/torus/b.png), [c](../d.md), `E`, f'
    """
    text = re.sub(r"\]\((\w+\.png)\)", rf"](../../examples/{story}/\1)", text)
    text = re.sub(r"\]\(\.\./\.\./docs/", "](../", text)
    return re.sub(r"(?<!!)\[([^\]]*)\]\([^)]*\.(?:py|yaml|csv)\)", r"\1", text)


def as_index(text: str, stories: list[str]) -> str:
    """The list of all stories, with their pages beside it in the table of contents."""
    contents = "\n".join(stories)
    return f"{text.replace('/README.md)', '.md)')}\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"


def write_pages(app: Any) -> None:
    """Write the pages, as Sphinx begins."""
    PAGES.mkdir(exist_ok=True)
    text = (EXAMPLES / "README.md").read_text()
    stories = re.findall(r"\]\((\w+)/README\.md\)", text)
    (PAGES / "index.md").write_text(as_index(text, stories))
    for story in stories:
        readme = (EXAMPLES / story / "README.md").read_text()
        (PAGES / f"{story}.md").write_text(as_page(readme, story))
