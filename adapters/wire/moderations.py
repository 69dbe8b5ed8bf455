"""Moderations: texts and pictures in, a verdict on each out."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from adapters.errors import InvalidRequest
from adapters.wire.base import Request

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's: official clients expect each of them in every result."""


class Part(Struct, frozen=True, kw_only=True):
    """A text, or a picture's address, and the result that it belongs to."""

    result: int
    text: str | None = None
    image: str | None = None


class ImageURL(Struct, frozen=True):
    """Where a picture is: an address, or a data URI."""

    url: str


class InputPart(Struct, frozen=True, kw_only=True):
    """A part as clients write it; a bare text counts as one."""

    type: str
    text: str | None = None
    image_url: ImageURL | None = None


class ModerationRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document. Parts are judged together, texts each on its own."""

    usual: ClassVar[str] = "omni-moderation-latest"

    input: Annotated[tuple[str | InputPart, ...], Meta(min_length=1, max_length=2048)]

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        """One text or several: `input` is always a list."""
        value = given.get("input")
        return {**given, "input": [value]} if isinstance(value, str) else given

    def check(self) -> None:
        kinds = {isinstance(each, str) for each in self.input}
        if len(kinds) > 1:
            raise InvalidRequest(
                "Invalid 'input': either texts or parts, not both.", param="input", code="invalid_value"
            )
        for place, each in enumerate(self.input):
            if isinstance(each, InputPart) and not _whole(each):
                raise InvalidRequest(
                    f'Invalid \'input[{place}]\': a part is {{"type": "text", "text"}} or '
                    '{"type": "image_url", "image_url": {"url"}}.',
                    param=f"input[{place}]",
                    code="invalid_value",
                )
            if isinstance(each, InputPart) and each.image_url and not _address(each.image_url.url):
                raise InvalidRequest(
                    f"Invalid 'input[{place}].image_url.url': neither an address nor a data URI.",
                    param=f"input[{place}].image_url.url",
                    code="invalid_image_url",
                )

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(
            Part(result=place, text=each) if isinstance(each, str) else _part(each)
            for place, each in enumerate(self.input)
        )

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(part.text for part in self.parts if part.text is not None)


def _whole(part: InputPart) -> bool:
    if part.type == "text":
        return part.text is not None and part.image_url is None
    return part.type == "image_url" and part.image_url is not None and part.text is None


def _address(url: str) -> bool:
    return url.startswith(("https://", "http://", "data:"))


def _part(part: InputPart) -> Part:
    return Part(result=0, text=part.text, image=part.image_url.url if part.image_url else None)


class Moderation(Struct, frozen=True, kw_only=True):
    """One verdict. A category whose list of input types is empty was not judged; `others` are the model's own
    categories that OpenAI has no word for, with their scores."""

    flagged: bool
    categories: Mapping[str, bool]
    category_scores: Mapping[str, float]
    category_applied_input_types: Mapping[str, tuple[str, ...]]
    others: Mapping[str, float]


class ModerationResponse(Struct, frozen=True, kw_only=True):
    """The reply, in the order of the inputs."""

    id: str
    model: str
    results: tuple[Moderation, ...]
