"""Answers as bytes, and pages of them."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from litestar import Response

from gateway.simulator.problems import InvalidField, bad_request, invalid

Item = TypeVar("Item")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_encoder = msgspec.json.Encoder()


def check_names(**names: str) -> None:
    """Refuse names that could not stand in an address."""
    wrong = [field for field, name in names.items() if not _NAME.fullmatch(name)]
    if wrong:
        raise invalid([InvalidField("pattern", field, f"Does not match pattern '{_NAME.pattern}'") for field in wrong])


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Answer with JSON."""
    return Response(_encoder.encode(value), status_code=status, media_type="application/json", headers=headers)


def empty() -> Response[None]:
    """Answer 204. Recorded replies name a type for the content they do not have."""
    return Response(None, status_code=204, headers={"Content-Type": "text/plain"})


def accepted() -> Response[bytes]:
    """Answer 202 with nothing."""
    return Response(b"", status_code=202, media_type="text/plain")


def page(
    items: Sequence[Item], shown: Callable[[Item], Any], size: int, cursor: str | None, url: str
) -> Response[bytes]:
    """Answer with one page; `url` is where the list is found, with its filters but without a cursor."""
    start = _place(cursor)
    before, after = max(0, start - size), start + size
    return reply(
        {
            "next": _link(url, after) if after < len(items) else None,
            "previous": _link(url, before) if start > 0 else None,
            "results": [shown(item) for item in items[start:after]],
        }
    )


def _link(url: str, place: int) -> str:
    cursor = base64.urlsafe_b64encode(f"p={place}".encode()).decode()
    return f"{url}{'&' if '?' in url else '?'}cursor={cursor}"


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        place = int(base64.urlsafe_b64decode(cursor).decode().removeprefix("p="))
    except (ValueError, binascii.Error) as error:
        raise bad_request("Invalid cursor") from error
    if place < 0:
        raise bad_request("Invalid cursor")
    return place
