"""The project's pages."""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    """Return the text of a page of the docs."""
    return (DOCS / name).read_text("utf-8")
