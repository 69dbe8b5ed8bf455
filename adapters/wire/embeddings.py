"""Embeddings: texts, and by our extension pictures, in; a vector for each out."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from adapters.errors import InvalidRequest, Unsupported
from adapters.wire.base import Count, References, Request, Upload, invalid_value

_MOST = 2048
_ADDRESSES = ("https://", "http://", "data:", "file-")
_TOKENS = (
    "Token ids mean nothing to a model of another make: send texts. In LangChain's OpenAIEmbeddings, that is "
    "check_embedding_ctx_length=False."
)


class Item(Struct, frozen=True, kw_only=True):
    """One thing to embed: a text, or a picture by its address, as a data URI, or by the id of a file of ours."""

    text: str | None = None
    image: str | None = None

    @property
    def file_id(self) -> str | None:
        return self.image if self.image and self.image.startswith("file-") else None


class EmbeddingRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; an item of `input` may also be an object `{"text"}` or `{"image"}`."""

    input: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=_MOST)]
    dimensions: Count | None = None
    encoding_format: str | None = None
    user: str | None = None

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        """One text or several: `input` is always a list of items."""
        value = given.get("input")
        if isinstance(value, str | dict):
            return {**given, "input": [_item(value, "input")]}
        if not isinstance(value, list):
            return given
        if value and all(isinstance(each, int) for each in value):
            raise Unsupported(_TOKENS, param="input", code="unsupported_value")
        return {**given, "input": [_item(each, f"input[{place}]") for place, each in enumerate(value)]}

    def check(self) -> None:
        if self.encoding_format not in (None, "float", "base64"):
            raise invalid_value("encoding_format", self.encoding_format, ("float", "base64"))
        for place, item in enumerate(self.input):
            name = self.named(place)
            if (item.text is None) == (item.image is None):
                raise InvalidRequest(
                    f"Invalid '{name}': exactly one of 'text' and 'image' belongs here.",
                    param=name,
                    code="invalid_value",
                )
            if not (item.text or item.image):
                raise InvalidRequest(
                    f"Invalid '{name}': input cannot be an empty string.", param=name, code="invalid_value"
                )
            if item.image and not item.image.startswith(_ADDRESSES):
                raise InvalidRequest(
                    f"Invalid '{name}.image': neither an address, nor a data URI, nor a file's id.",
                    param=f"{name}.image",
                    code="invalid_image_url",
                )

    def references(self) -> References:
        return {f"input[{place}].image": each.file_id for place, each in enumerate(self.input) if each.file_id}

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        def known(item: Item) -> Item:
            return Item(image=found[item.file_id].address) if item.file_id else item

        return replace(self, input=tuple(map(known, self.input)))

    def named(self, item: int) -> str:
        """How errors speak of an item."""
        return f"input[{item}]" if len(self.input) > 1 else "input"

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each.text for each in self.input if each.text is not None)


def _item(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, list) and all(isinstance(each, int) for each in value):
        raise Unsupported(_TOKENS, param=place, code="unsupported_value")
    if isinstance(value, dict):
        return value
    raise InvalidRequest(f"Invalid type for '{place}': expected a string.", param=place, code="invalid_type")


class Embedding(Struct, frozen=True, kw_only=True):
    """A vector: numbers, or as asked little-endian float32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: Sequence[float] | str


class EmbeddingUsage(Struct, frozen=True):
    """Tokens of all texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(Struct, frozen=True, kw_only=True):
    """The reply, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingUsage
