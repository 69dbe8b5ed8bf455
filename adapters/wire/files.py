"""Files and uploads in parts: requests and objects."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from adapters.wire.base import Given, Upload, invalid_value

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


class ExpiresAfter(Struct, frozen=True):
    """How long a file is to be kept."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class Purposeful(Given, frozen=True, kw_only=True):
    """What both ways of making a file say of it."""

    purpose: str
    expires_after: ExpiresAfter | None = None

    def check(self) -> None:
        if self.purpose not in PURPOSES:
            raise invalid_value("purpose", self.purpose, PURPOSES)


class FileRequest(Purposeful, frozen=True, kw_only=True):
    """A file in one piece."""

    file: Upload


class UploadRequest(Purposeful, frozen=True, kw_only=True):
    """A file to come in parts."""

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    bytes: Annotated[int, Meta(ge=1)]
    mime_type: str


class PartRequest(Given, frozen=True, kw_only=True):
    """One part."""

    data: Upload


class CompleteRequest(Given, frozen=True, kw_only=True):
    """The parts in their order, and perhaps what they come to."""

    part_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    md5: str | None = None


class FilesQuery(Struct, frozen=True, kw_only=True):
    """Which files a list has."""

    purpose: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class FileObject(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file as clients see it; `expires_at` only where it expires."""

    id: str
    object: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str
    expires_at: int | None = None


class ListPage(Struct, frozen=True, kw_only=True):
    """What every page of a list tells beside what is on it."""

    object: str = "list"
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileList(ListPage, frozen=True, kw_only=True):
    """A page of files."""

    data: tuple[FileObject, ...]


class Deleted(Struct, frozen=True, kw_only=True):
    """What is left of a deleted file."""

    id: str
    object: str
    deleted: bool = True


class UploadObject(Struct, frozen=True, kw_only=True):
    """An upload in parts; `file` once it is complete."""

    id: str
    object: str = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: str
    file: FileObject | None = None


class PartObject(Struct, frozen=True, kw_only=True):
    """A part of an upload."""

    id: str
    object: str = "upload.part"
    created_at: int
    upload_id: str
