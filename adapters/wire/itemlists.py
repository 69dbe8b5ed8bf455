"""Responses: what may be asked of one that is kept, and its items page by page."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from adapters.errors import InvalidRequest
from adapters.wire.files import ListPage
from adapters.wire.responses import Item


class ResponseQuery(Struct, frozen=True, kw_only=True):
    """How a response is wanted: whole, or as its events behind a number."""

    stream: bool = False
    starting_after: int = -1


class ItemsQuery(Struct, frozen=True, kw_only=True):
    """Which items a list has."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class ItemList(ListPage, frozen=True, kw_only=True):
    """A page of items."""

    data: list[Item]

    @classmethod
    def page(cls, items: Sequence[Item], query: ItemsQuery) -> "ItemList":
        """The items that are wanted. Raises InvalidRequest where there is none to begin behind."""
        ordered = list(items) if query.order == "asc" else list(reversed(items))
        if query.after is not None:
            places = [place for place, item in enumerate(ordered) if item.id == query.after]
            if not places:
                raise InvalidRequest(f"Item with id '{query.after[:100]}' not found.", param="after")
            ordered = ordered[places[0] + 1 :]
        data = ordered[: query.limit]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=data, first_id=first, last_id=last, has_more=len(ordered) > len(data))
