"""The models there are: the records shipped here and those of the user, all in the API's own form."""

import hashlib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from gateway.simulator.schemas import Schema

Plays = Literal[
    "text", "picture", "speech", "music", "transcription", "vectors", "video", "value", "verdict", "hello", "weights"
]
Counts = Literal["runtime", "billing", "logs", "none"]

_EXTENSIONS: dict[str, Plays] = {
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "svg"), "picture"),
    **dict.fromkeys(("wav", "mp3", "flac", "ogg"), "music"),
    **dict.fromkeys(("mp4", "webm", "mov"), "video"),
    **dict.fromkeys(("zip", "tar", "safetensors"), "weights"),
}


class Ways(Struct, frozen=True, kw_only=True):
    """What a record does not say about how its model behaves."""

    plays: Plays
    counts: Counts = "none"
    scene: str | None = None


class Version(Struct, kw_only=True):
    """One version of a model."""

    id: str
    created_at: str
    cog_version: str | None
    document: dict[str, Any]
    schema: Schema
    training: Schema

    @classmethod
    def read(cls, record: dict[str, Any]) -> "Version":
        """Read a version object of the API."""
        document = record.get("openapi_schema") or {}
        return cls(
            id=record["id"],
            created_at=record.get("created_at") or "2024-01-01T00:00:00.000000Z",
            cog_version=record.get("cog_version"),
            document=document,
            schema=Schema(document),
            training=Schema(document, "TrainingInput"),
        )

    def shown(self) -> dict[str, Any]:
        """Return the version object of the API."""
        return {
            "id": self.id,
            "created_at": self.created_at,
            "cog_version": self.cog_version,
            "openapi_schema": self.document,
        }


class Model(Struct, kw_only=True):
    """One model: its record, its versions newest first, and how it behaves."""

    owner: str
    name: str
    record: dict[str, Any]
    versions: list[Version]
    ways: Ways
    readme: str | None = None
    hardware: str = "gpu-l40s"

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def official(self) -> bool:
        return bool(self.record.get("is_official"))

    @property
    def latest(self) -> Version | None:
        return self.versions[0] if self.versions else None

    def shown(self) -> dict[str, Any]:
        """Return the model object of the API."""
        latest = self.latest.shown() if self.latest else None
        return self.record | {"is_official": self.official, "latest_version": latest}


class UnreadableRecord(Exception):
    """A model record that is not one; the message names the file."""


class _Place(Protocol):
    @property
    def name(self) -> str: ...

    def read_bytes(self) -> bytes: ...


def read_model(record: dict[str, Any]) -> Model:
    """Read a model object of the API, with or without a `simulator` member that says how it behaves."""
    record = dict(record)
    ways = record.pop("simulator", None)
    record.pop("_provenance", None)
    latest = record.pop("latest_version", None)
    versions = [Version.read(latest)] if latest else []
    return Model(
        owner=record["owner"],
        name=record["name"],
        record=_complete(record),
        versions=versions,
        ways=msgspec.convert(ways, Ways) if ways else _judged(record, versions),
        readme=f"# {record['owner']}/{record['name']}\n\n{record.get('description') or ''}\n" if versions else None,
    )


def _complete(record: dict[str, Any]) -> dict[str, Any]:
    place = f"{record['owner']}/{record['name']}"
    standard = {
        "url": f"https://replicate.com/{place}",
        "description": None,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "cover_image_url": None,
        "default_example": None,
    }
    return standard | record | {"run_count": record.get("run_count") or 0}


def _judged(record: dict[str, Any], versions: list[Version]) -> Ways:
    """Tell what a model makes from its schema and its example, for records that do not say."""
    if not versions:
        return Ways(plays="text")
    example = record.get("default_example") or {}
    counts: Counts = "runtime" if record.get("is_official") else "none"
    return Ways(plays=_plays(versions[0].schema, example.get("output")), counts=counts)


def _plays(schema: Schema, example: Any) -> Plays:
    inputs = schema.properties
    if schema.kind in ("file", "files"):
        made = _EXTENSIONS.get(_extension(example), "picture")
        return "speech" if made == "music" and "text" in inputs else made
    hears = any(name in inputs for name in ("audio", "audio_file", "audio_path"))
    if hears:
        return "transcription"
    if schema.kind in ("text", "tokens"):
        return "text"
    return "vectors" if _is_vectors(example) else "value"


def _extension(example: Any) -> str:
    match example:
        case str():
            return example.rsplit("?", 1)[0].rsplit(".", 1)[-1].lower()
        case [first, *_]:
            return _extension(first)
    return ""


def _is_vectors(example: Any) -> bool:
    match example:
        case [float() | int(), *_]:
            return len(example) >= 16
        case [first, *_]:
            return _is_vectors(first)
        case {"embedding": _} | {"embeddings": _} | {"vectors": _}:
            return True
    return False


def shipped() -> Iterator[Model]:
    """Read the records that come with the simulator."""
    folder = files("gateway.simulator") / "samples"
    for place in sorted(filter(_is_record, folder.iterdir()), key=lambda place: place.name):
        yield from _parsed(place.read_bytes(), place.name)


def loaded(paths: Iterable[Path]) -> Iterator[Model]:
    """Read records, or pages of them, from `.json` and `.jsonl` files (one a line) and from folders of such files."""
    for path in paths:
        for place in sorted(path.iterdir()) if path.is_dir() else (path,):
            if place.suffix == ".jsonl":
                for line in filter(bytes.strip, place.read_bytes().splitlines()):
                    yield from _parsed(line, place.name)
            elif _is_record(place):
                yield from _parsed(place.read_bytes(), place.name)


def _is_record(place: _Place) -> bool:
    return place.name.endswith(".json")


def _parsed(content: bytes, name: str) -> list[Model]:
    """Read one record, or a page of them."""
    try:
        record = msgspec.json.decode(content, type=dict[str, Any])
        return [read_model(one) for one in record.get("results", (record,))]
    except KeyError as error:
        raise UnreadableRecord(f"{name} is no model record in the API's form: it has no {error}") from error
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError) as error:
        raise UnreadableRecord(f"{name} is no model record in the API's form: {error}") from error


class Records:
    """All models, found by name or by the id of one of their versions."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models: dict[str, Model] = {}
        self._versions: dict[str, Model] = {}
        for model in models:
            self.add(model)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def add(self, model: Model) -> None:
        """Take a model in, in place of any of the same name."""
        self._models[model.full_name.lower()] = model
        for version in model.versions:
            self._versions[version.id] = model

    def add_version(self, model: Model, version: Version) -> None:
        """Make a version the newest of a model."""
        model.versions.insert(0, version)
        self._versions[version.id] = model

    def find(self, owner: str, name: str) -> Model | None:
        """Find a model by name, whatever its case."""
        return self._models.get(f"{owner}/{name}".lower())

    def find_version(self, id: str) -> tuple[Model, Version] | None:
        """Find a version, and the model it belongs to, by its id."""
        model = self._versions.get(id)
        if model is None:
            return None
        return next(((model, version) for version in model.versions if version.id == id), None)

    def remove(self, model: Model) -> None:
        """Let a model go."""
        self._models.pop(model.full_name.lower(), None)
        for version in model.versions:
            self._versions.pop(version.id, None)

    def remove_version(self, model: Model, version: Version) -> None:
        """Let one version go."""
        model.versions.remove(version)
        self._versions.pop(version.id, None)


def version_id(text: str) -> str:
    """Return the 64 digits that name a version made from this text."""
    return hashlib.sha256(text.encode()).hexdigest()
