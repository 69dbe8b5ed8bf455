"""Collections: models grouped by what they are good for."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gateway.simulator.records import Model, Plays, Records


class Collection(Struct, frozen=True):
    """A named group: all models that play one thing."""

    slug: str
    name: str
    description: str
    plays: Plays

    def listed(self) -> dict[str, Any]:
        """Return the collection as lists show it."""
        return {"name": self.name, "slug": self.slug, "description": self.description}

    def models(self, records: Records) -> Iterator[Model]:
        """Return its models."""
        return (model for model in records if model.ways.plays == self.plays)


COLLECTIONS = (
    Collection("language-models", "Language models", "Models that answer in words", "text"),
    Collection("text-to-image", "Generate images", "Models that draw", "picture"),
    Collection("text-to-speech", "Generate speech", "Models that speak", "speech"),
    Collection("speech-to-text", "Transcribe speech", "Models that listen", "transcription"),
    Collection("text-to-video", "Generate videos", "Models that film", "video"),
    Collection("embedding-models", "Embeddings", "Models that turn texts into vectors", "vectors"),
    Collection("ai-music-generation", "Generate music", "Models that play", "music"),
)
