"""Every endpoint of the app, and every header of ours that a reply carries, stands in docs/api.md."""

import re
from pathlib import Path

from gateway.app import HANDLERS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
DOCUMENTED = set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", PAGE, re.MULTILINE))


def served() -> set[str]:
    """`METHOD /path` of each handler, with a path parameter's type left out."""
    return {
        f"{method} {re.sub(':[a-z]+}', '}', path)}"
        for handler in HANDLERS
        for method in handler.http_methods
        for path in handler.paths
        if method != "OPTIONS"
    }


def test_the_page_has_every_endpoint_and_no_other() -> None:
    assert served() == DOCUMENTED


def test_the_page_has_every_header_of_ours() -> None:
    written = {
        header
        for file in (ROOT / "gateway").rglob("*.py")
        if "simulator" not in file.parts
        for header in re.findall(r'"(x-repligate-[a-z-]+)"', file.read_text("utf-8"))
    }
    documented = set(re.findall(r"`(x-repligate-[a-z-]+)(?:: \w+)?`", PAGE))
    assert written == documented
