"""Rows: an opening and a settlement as the books keep them."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import asdict, astuple

from gateway.accounts.entries import Opening, Settlement
from gateway.accounts.holds import Hold
from gateway.accounts.moments import milliseconds
from gateway.store.tables import entries

MOST, LONGEST = 2**43, 2.0**25
"""Counts and amounts above this, and seconds, are none; what sums them up never overflows."""

Row = tuple[Any, ...]
COLUMNS = tuple(str(column.name) for column in entries.c)
"""Those of an entry, in the order of its row."""

row_of = itemgetter(*COLUMNS)
"""The row of an entry that is told by names."""


def rows(opening: Opening, ids: Sequence[str], hold: Hold, now: float) -> Iterator[Row]:
    """The entries of a call, in the order of `COLUMNS`."""
    tags = [storable(tag) for tag in dict.fromkeys(opening.tags)]
    whose = (opening.key, opening.team, _word(opening.kind), _word(opening.model), _word(opening.ref))
    version, request = opening.version and _word(opening.version), storable(opening.request)
    told = msgspec.json.encode(tags).decode() if tags else "[]"
    price = None if opening.price is None else msgspec.json.encode(opening.price).decode()
    until, at, day = opening.deadline, milliseconds(now), hold.day
    for seq, (id, digest, reserved) in enumerate(zip(ids, opening.digests, hold.amounts, strict=True), opening.first):
        yield (id, opening.call, seq, *whose, version, digest, request, told, price, reserved, until, at, day)


def rows_of(opening: Opening, ids: Sequence[str], hold: Hold, now: float) -> list[dict[str, Any]]:
    """The entries of a call, by the names of their columns, as the journal keeps them."""
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows(opening, ids, hold, now)]


def storable(value: Any) -> Any:
    """What a database can keep of this. Books that refuse an upstream's nonsense would stay open for ever.

    A NUL or half a surrogate pair is replaced; a count or time that is below zero or beyond belief is not known.
    """
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if 0 <= value <= LONGEST else None
    if isinstance(value, int):
        return value if 0 <= value <= MOST else None
    return value


def kept(settlement: Settlement) -> Settlement:
    """The settlement as a database can keep it: mostly just as it is, which is seen at a glance."""
    for value in astuple(settlement):
        if isinstance(value, str):
            if not value.isascii() or "\0" in value:
                break
        elif value is not None and not 0 <= value <= LONGEST:
            break
    else:
        return settlement
    return Settlement(**{name: storable(value) for name, value in asdict(settlement).items()})


@lru_cache(maxsize=1000)
def _word(word: str) -> str:
    """One of those that come again and again."""
    kept: str = storable(word)
    return kept
