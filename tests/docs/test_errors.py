"""Every error code that can leave the gateway stands in docs/errors.md, with its status."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.errors import ApiError
from gateway import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
ROWS = [
    (re.findall(r"`([^`]+)`", codes), int(status))
    for codes, status in re.findall(r"^\| (`[^|]+) \| (\d{3}) \| .{10,} \| .{5,} \|$", PAGE, re.MULTILINE)
]


def kinds(base: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    """Every error there is, once the app and what it is made of are imported."""
    assert app
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def written_codes() -> Iterator[tuple[str, str]]:
    """Codes given to an error where it is raised: `code="…"` in a call or an assignment of a constant."""
    for file in [*(ROOT / "adapters").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")]:
        if "simulator" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                yield str(node.value.value), file.name


def documented(code: str, status: int | None = None) -> bool:
    return any(code in codes and status in (None, row_status) for codes, row_status in ROWS)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=str))
def test_the_page_has_the_code_and_status_of_every_error(kind: type[ApiError]) -> None:
    assert documented(kind.code or "null", kind.status)


@pytest.mark.parametrize(("code", "file"), sorted(set(written_codes())))
def test_the_page_has_every_code_written_where_an_error_is_raised(code: str, file: str) -> None:
    assert documented(code)


def test_the_page_names_no_code_that_is_gone() -> None:
    source = "\n".join(
        file.read_text("utf-8") for folder in ("adapters", "gateway") for file in (ROOT / folder).rglob("*.py")
    )
    built = r"(integer|decimal)_(below_min|above_max)_value|(string|array)_(below_min|above_max)_length|empty_[a-z]+"
    gone = [
        code
        for codes, _ in ROWS
        for code in codes
        if re.fullmatch("[a-z_]+", code)
        and code != "null"
        and f'"{code}"' not in source
        and not re.fullmatch(built, code)
    ]
    assert not gone
