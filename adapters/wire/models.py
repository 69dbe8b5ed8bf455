"""The list of models, and one of them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from adapters.errors import InvalidRequest

Words = Annotated[str, Meta(min_length=1, max_length=200)]


class ModelsQuery(Struct, frozen=True, kw_only=True):
    """Which models a list has: the configured ones, or those of Replicate's that words find, or of a collection."""

    search: Words | None = None
    collection: Words | None = None

    def check(self) -> None:
        """Raises InvalidRequest for both at once, and for blanks."""
        for name, value in (("search", self.search), ("collection", self.collection)):
            if value is not None and not value.strip():
                raise InvalidRequest(f"Invalid '{name}': empty.", param=name, code="invalid_value")
        if self.search and self.collection:
            raise InvalidRequest(
                "Give 'search' or 'collection', not both.", param="collection", code="invalid_parameter_combination"
            )


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model by the name clients write; `created` in unix seconds. What OpenAI does not have follows `owned_by`, and
    is absent where it is not known."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    model: str
    kind: str | UnsetType = field(default=UNSET, name="class")
    endpoints: tuple[str, ...] | UnsetType = UNSET
    context_length: int | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    official: bool | UnsetType = UNSET


class ModelList(Struct, frozen=True, kw_only=True):
    """All of them; there is no paging."""

    object: Literal["list"] = "list"
    data: tuple[ModelCard, ...]
