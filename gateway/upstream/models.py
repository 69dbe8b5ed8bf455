"""Replicate's replies about models and accounts, the record of a model that we keep, and what is made of it."""

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from adapters.schema import Schema
from adapters.wire.replicate import ModelRef, Prediction


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of a model that calls need, small enough to keep. `version` is None where none was ever pushed;
    `official` is None where Replicate does not say."""

    owner: str
    name: str
    version: str | None = None
    official: bool | None = None
    created_at: str | None = None
    openapi_schema: dict[str, Any] | None = None
    example: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        return f"{self.owner}/{self.name}"


class Model(Struct, frozen=True, kw_only=True):
    """A model ready to be called: by which ref, at which version, and what it takes."""

    ref: ModelRef
    owner: str
    name: str
    version: str | None
    official: bool | None
    created_at: str | None
    schema: Schema

    @property
    def path(self) -> str:
        """`owner/name` of the model itself, also where `ref` is a deployment or a bare version."""
        return f"{self.owner}/{self.name}"

    @property
    def created(self) -> int:
        """When this version was made, in unix seconds; 0 where that is not known."""
        try:
            return int(datetime.fromisoformat(self.created_at or "").timestamp())
        except ValueError:
            return 0

    @classmethod
    def of(cls, ref: ModelRef, record: Record) -> "Model":
        return cls(
            ref=ref,
            owner=record.owner,
            name=record.name,
            version=record.version,
            official=record.official,
            created_at=record.created_at,
            schema=Schema.parse(record.openapi_schema or {}, record.example),
        )


class VersionReply(Struct, frozen=True):
    """A version, as `GET /models/{owner}/{name}/versions/{id}` gives it."""

    id: str
    created_at: str | None = None
    openapi_schema: dict[str, Any] | None = None

    def on(self, record: Record) -> Record:
        """The record, pinned to this version."""
        return replace(record, version=self.id, openapi_schema=self.openapi_schema, created_at=self.created_at)


class ModelReply(Struct, frozen=True):
    """A model, as `GET /models/{owner}/{name}` gives it."""

    owner: str
    name: str
    is_official: bool | None = None
    latest_version: VersionReply | None = None
    default_example: dict[str, Any] | None = None

    @property
    def record(self) -> Record:
        latest, example = self.latest_version, self.default_example
        return Record(
            owner=self.owner,
            name=self.name,
            version=latest.id if latest else None,
            official=self.is_official,
            created_at=latest.created_at if latest else None,
            openapi_schema=latest.openapi_schema if latest else None,
            example={key: example[key] for key in ("input", "output") if key in example} if example else None,
        )


class ModelsReply(Struct, frozen=True):
    """Models, as a search gives them (`results`) or a collection (`models`)."""

    results: list[ModelReply] = []
    models: list[ModelReply] = []


class Release(Struct, frozen=True):
    """What a deployment runs."""

    model: str
    version: str | None = None


class DeploymentReply(Struct, frozen=True):
    """A deployment, as `GET /deployments/{owner}/{name}` gives it."""

    current_release: Release | None = None


class PageReply(Struct, frozen=True):
    """A page of predictions, newest first, and the absolute address of the next."""

    results: list[Prediction]
    next: str | None = None


class FileUrls(Struct, frozen=True):
    """Where an uploaded file is; what a model is given for it."""

    get: str = ""


class FileReply(Struct, frozen=True):
    """A file that was uploaded to Replicate."""

    id: str
    urls: FileUrls = FileUrls()

    @property
    def address(self) -> str:
        return self.urls.get


class SecretReply(Struct, frozen=True):
    """What an account's webhooks are signed with."""

    key: str
