"""Builds the long description from README.md: a package index resolves no relative link."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

ADDRESS = ""
"""Of the folder of README.md, with a slash at its end; empty as long as the project has no public one."""

RELATIVE = r"\((?!\w+:|#)([^)]+)\)"
PICTURE = rf"(?m)^!\[[^\]]*\]{RELATIVE}\n\n(\*[^*]+\*\n\n)?"  # and its caption, in italics
LINK = rf"\[([^\]]+)\]{RELATIVE}"


def long_description(readme: str, address: str = ADDRESS) -> str:
    """Relative links lead to ``address``; without one only their text is left, and pictures are left out."""
    if address:
        return re.sub(LINK, rf"[\1]({address}\2)", readme)
    return re.sub(LINK, r"\1", re.sub(PICTURE, "", readme))


if __name__ == "__main__":
    readme = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    setup(long_description=long_description(readme), long_description_content_type="text/markdown")
