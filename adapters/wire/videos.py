"""Videos: requests, and the objects that stand for them while they are made and after."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from adapters.errors import InvalidRequest
from adapters.wire.base import Given, References, Request, Upload
from adapters.wire.files import ListPage
from adapters.wire.images import Picture

Status = Literal["queued", "in_progress", "completed", "failed"]
Variant = Literal["video", "thumbnail", "spritesheet"]

_REFERENCE = "input_reference"


class VideoRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; `seconds` may be any number, `size` any size, or a model's own words."""

    prompt: Annotated[str, Meta(max_length=32_000)] = ""
    input_reference: Picture | None = None
    seconds: str | float | None = None
    size: str | None = None

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The form's file, an address, or an object with either or an id: all are a reference."""
        reference = given.get(_REFERENCE)
        if isinstance(reference, Upload):
            return {**given, _REFERENCE: {"upload": reference}}
        return {**given, _REFERENCE: {"image_url": reference}} if isinstance(reference, str) else given

    def check(self) -> None:
        reference = self.input_reference
        told = [name for name in ("image_url", "file_id", "upload") if getattr(reference, name, None) is not None]
        if reference and len(told) != 1:
            raise InvalidRequest(
                f"Invalid '{_REFERENCE}': exactly one of 'image_url' and 'file_id' belongs here.",
                param=_REFERENCE,
                code="invalid_value",
            )

    def references(self) -> References:
        id = self.input_reference.file_id if self.input_reference else None
        return {f"{_REFERENCE}.file_id": id} if id else {}

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        id = self.input_reference.file_id if self.input_reference else None
        return replace(self, input_reference=Picture(upload=found[id])) if id else self


class RemixRequest(Given, frozen=True, kw_only=True):
    """What is to become of a video that is there."""

    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]


class VideosQuery(Struct, frozen=True, kw_only=True):
    """Which videos a list has."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=0, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


class ContentQuery(Struct, frozen=True, kw_only=True):
    """Which file of a video."""

    variant: Variant = "video"


class VideoError(Struct, frozen=True):
    """Why there is no video."""

    code: str
    message: str


class Video(Struct, frozen=True, kw_only=True):
    """A video as clients see it: made, being made, or failed."""

    id: str
    object: str = "video"
    model: str
    status: Status
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str | None
    seconds: str
    size: str
    remixed_from_video_id: str | None
    error: VideoError | None


class VideoList(ListPage, frozen=True, kw_only=True):
    """A page of videos."""

    data: tuple[Video, ...]
