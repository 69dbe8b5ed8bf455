"""The list of models, and one of them."""

from typing import Literal

from msgspec import Struct


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model by the name clients write; `created` in unix seconds."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(Struct, frozen=True, kw_only=True):
    """All of them; there is no paging."""

    object: Literal["list"] = "list"
    data: tuple[ModelCard, ...]
