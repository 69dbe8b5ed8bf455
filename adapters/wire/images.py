"""Image generations: request and reply."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.wire.base import Request, invalid_value


class ImageRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; `size`, `quality` and `style` may also be a model's own words."""

    prompt: Annotated[str, Meta(max_length=32_000)]
    background: str | None = None
    moderation: str | None = None
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    output_format: str | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    quality: str | None = None
    response_format: str | None = None
    size: str | None = None
    stream: bool | None = None
    style: str | None = None
    user: str | None = None

    def check(self) -> None:
        for name, value, known in (
            ("response_format", self.response_format, ("url", "b64_json")),
            ("background", self.background, ("transparent", "opaque", "auto")),
            ("moderation", self.moderation, ("low", "auto")),
        ):
            if value is not None and value not in known:
                raise invalid_value(name, value, known)


class ImageFile(Struct, frozen=True, kw_only=True):
    """A picture as the gateway keeps it; `content` only where the reply needs the bytes."""

    url: str
    content_type: str
    content: bytes | None = None


class Image(Struct, frozen=True, kw_only=True):
    """Exactly one of `b64_json` and `url`."""

    b64_json: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    revised_prompt: str | UnsetType = UNSET


class InputTokensDetails(Struct, frozen=True):
    """What the prompt's tokens were."""

    text_tokens: int = 0
    image_tokens: int = 0


class ImagesUsage(Struct, frozen=True, kw_only=True):
    """Tokens, for models that count them."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_tokens_details: InputTokensDetails


class ImagesResponse(Struct, frozen=True, kw_only=True):
    """The reply; what the model does not say is absent."""

    created: int
    data: tuple[Image, ...]
    output_format: str | UnsetType = UNSET
    usage: ImagesUsage | UnsetType = UNSET
