"""Images drawn, edited and varied: requests and replies."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from adapters.errors import InvalidRequest, MissingParameter
from adapters.wire.base import References, Request, Upload, invalid_value

Prompt = Annotated[str, Meta(max_length=32_000)]


class PicturesRequest(Request, frozen=True, kw_only=True):
    """What all three may say; `size`, `quality` and `style` may also be a model's own words."""

    prompt: Prompt = ""
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


class ImageRequest(PicturesRequest, frozen=True, kw_only=True):
    """Every field of OpenAI's document for generations."""

    prompt: Prompt


class Picture(Struct, frozen=True, kw_only=True):
    """A picture that the client gives: an address, a file of ours by its id, or an upload."""

    image_url: str | None = None
    file_id: str | None = None
    upload: Upload | None = None


class ImageEditRequest(PicturesRequest, frozen=True, kw_only=True):
    """Every field of OpenAI's document for edits, of its form and of its JSON. Models that only enlarge or cut out
    need no prompt."""

    images: Annotated[tuple[Picture, ...], Meta(min_length=1, max_length=16)]
    mask: Picture | None = None
    input_fidelity: str | None = None

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The form's `image`, the JSON's `images`, one or several, files, addresses or objects: all are `images`."""
        name = "images" if given.get("images") else "image"
        pictures = given.get(name)
        if name == "images" and given.get("image"):
            raise InvalidRequest(
                "Give 'image' or 'images', not both.", param="image", code="invalid_parameter_combination"
            )
        if pictures is None:
            raise MissingParameter("Missing required parameter: 'image'.", param="image")
        several = pictures if isinstance(pictures, list | tuple) else [pictures]
        rest = {key: value for key, value in given.items() if key not in ("image", "images")}
        mask = {"mask": _shaped(given["mask"])} if given.get("mask") is not None else {}
        return {**rest, "images": [_shaped(each) for each in several], **mask}

    @classmethod
    def listed(cls) -> frozenset[str]:
        return frozenset({"image", "images"})

    def check(self) -> None:
        super().check()
        for place, picture in self._placed():
            told = [name for name in ("image_url", "file_id", "upload") if getattr(picture, name) is not None]
            if len(told) != 1:
                raise InvalidRequest(
                    f"Invalid '{place}': exactly one of 'image_url' and 'file_id' belongs here.",
                    param=place,
                    code="invalid_value",
                )

    def references(self) -> References:
        return {f"{place}.file_id": each.file_id for place, each in self._placed() if each.file_id}

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        def known(picture: Picture) -> Picture:
            return Picture(upload=found[picture.file_id]) if picture.file_id else picture

        mask = known(self.mask) if self.mask else None
        return replace(self, images=tuple(map(known, self.images)), mask=mask)

    def _placed(self) -> list[tuple[str, Picture]]:
        pictures = [(f"images[{place}]", each) for place, each in enumerate(self.images)]
        return [*pictures, ("mask", self.mask)] if self.mask else pictures


class ImageVariationRequest(ImageEditRequest, frozen=True, kw_only=True):
    """Every field of OpenAI's document for variations: one picture, and no words."""

    def check(self) -> None:
        super().check()
        if len(self.images) > 1:
            raise InvalidRequest("Variations are of one image.", param="image", code="array_above_max_length")


def _shaped(value: Any) -> Any:
    if isinstance(value, Upload):
        return {"upload": value}
    return {"image_url": value} if isinstance(value, str) else value


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


class ImageEvent(Struct, frozen=True, kw_only=True):
    """A partial picture, or one that is done, in a stream."""

    type: str
    b64_json: str
    created_at: int
    size: str
    quality: str
    background: str
    output_format: str | UnsetType = UNSET
    partial_image_index: int | UnsetType = UNSET
    usage: ImagesUsage | UnsetType = UNSET


class ImagesResponse(Struct, frozen=True, kw_only=True):
    """The reply; what the model does not say is absent."""

    created: int
    data: tuple[Image, ...]
    output_format: str | UnsetType = UNSET
    usage: ImagesUsage | UnsetType = UNSET
