"""Kinds that are chat in other words: the family's chat adapter does the work, under the names of their own fields."""

from collections.abc import Callable
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from adapters.base import Prepared, Row
from adapters.chat import ChatAdapter
from adapters.errors import ApiError

Naming = Callable[[str], str]
"""The name that a field of chat has here."""


class Spoken(Struct, frozen=True, kw_only=True):
    """An adapter over the chat adapter of a model's family."""

    chat: ChatAdapter = ChatAdapter()

    def amended(self, row: Row | None) -> Self:
        """This adapter, with what the operator's row says on top."""
        return replace(self, chat=self.chat.amended(row))

    def renamed(self, name: str) -> tuple[str, ...]:
        """The input the operator's row gives a parameter, if it does."""
        return self.chat.renamed(name)


def in_words_of(naming: Naming, prepare: Callable[[], Prepared]) -> Prepared:
    """What `prepare` yields, or raises, with every field called by its name here."""
    try:
        prepared = prepare()
    except ApiError as refused:
        if refused.param:
            here = naming(refused.param)
            refused.message, refused.param = refused.message.replace(f"'{refused.param}'", f"'{here}'"), here
        raise
    return replace(
        prepared,
        ignored=tuple(dict.fromkeys(map(naming, prepared.ignored))),
        adjusted=tuple(dict.fromkeys(map(naming, prepared.adjusted))),
        origins={name: naming(origin) for name, origin in prepared.origins.items()},
    )
