"""Facts of real model records (names, types, ranges, defaults, shapes of outputs), for the tests of translation."""

import json
from functools import cache
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent / "schemas"

Record = dict[str, Any]


@cache
def records(group: str) -> tuple[Record, ...]:
    """All records of `text`, `images` or `others`."""
    return tuple(json.loads((SCHEMAS / f"{group}.json").read_text("utf-8")))


def record(name: str, listing: str | None = None) -> Record:
    """The record of `owner/name`; `listing` tells two apart that Replicate gave for one version id."""
    for group in ("text", "images", "others"):
        for each in records(group):
            if f"{each['owner']}/{each['name']}" == name and each.get("listing") == listing:
                return each
    raise LookupError(name)
