"""Which adapter a model gets: the most specific pattern that fits, else the plain one of the kind."""

import importlib
import pkgutil
from collections.abc import Hashable, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, TypeVar, cast

from adapters import families
from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.embeddings import EmbeddingAdapter
from adapters.images import ImageAdapter
from adapters.moderations import ModerationAdapter
from adapters.speech import SpeechAdapter
from adapters.spoken import Spoken
from adapters.transcription import TranscriptionAdapter
from adapters.videos import VideoAdapter
from adapters.wire.replicate import ModelRef

GROUP = "repligate.adapters"
"""Entry points of this group name an adapter, or a sequence of them."""

PLAIN: tuple[Adapter, ...] = (
    ChatAdapter(),
    EmbeddingAdapter(),
    ImageAdapter(),
    SpeechAdapter(),
    ModerationAdapter(),
    TranscriptionAdapter(),
    VideoAdapter(),
)

A = TypeVar("A")

_REMEMBERED = 4096


class Catalog:
    """Adapters by kind and pattern. Of equally specific patterns the one that was added last wins, so an installed
    adapter can take over a shipped family."""

    def __init__(self, adapters: Iterable[Adapter]) -> None:
        self._adapters = (*PLAIN, *adapters)
        # Asked with every call, mostly for the same few models.
        self._best = lru_cache(_REMEMBERED)(self._most_specific)

    def find(self, kind: type[A], ref: ModelRef) -> A:
        """The adapter of this kind for a model; a bare version or a deployment gets the plain one unless a pattern
        names it. Raises LookupError for a kind nobody ships."""
        if issubclass(kind, Spoken):
            return kind(chat=self.find(ChatAdapter, ref))
        best = self._best(cast(Hashable, kind), ref.path)
        if best is None:
            raise LookupError(f"there is no {kind.__name__} for {ref}")
        return cast(A, best)

    def _most_specific(self, kind: type[Any], path: str) -> Adapter | None:
        best: Adapter | None = None
        rank = (-1, -1)
        for adapter in self._adapters:
            if not isinstance(adapter, kind):
                continue
            found = max((_rank(pattern, path) for pattern in adapter.models), default=(-1, -1))
            if found >= rank and found > (-1, -1):
                best, rank = adapter, found
        return best


def shipped() -> Catalog:
    """The families in `adapters.families`."""
    return Catalog(_shipped())


def installed() -> Catalog:
    """The shipped families, and what other installed distributions bring by entry points.

    Raises TypeError, naming the entry point, for one that is neither an adapter nor a sequence of them.
    """
    return Catalog([*_shipped(), *_installed()])


def _shipped() -> list[Adapter]:
    names = [f"{families.__name__}.{each.name}" for each in pkgutil.iter_modules(families.__path__)]
    return [adapter for name in names for adapter in importlib.import_module(name).FAMILY]


def _installed() -> list[Adapter]:
    found: list[Adapter] = []
    for entry in entry_points(group=GROUP):
        value = entry.load()
        brought = [value] if isinstance(value, Adapter) else list(value) if isinstance(value, (tuple, list)) else []
        if not brought or not all(isinstance(each, Adapter) for each in brought):
            raise TypeError(f"entry point {entry.name!r} ({entry.value}) is neither an adapter nor a list of them")
        found += brought
    return found


def _rank(pattern: str, path: str) -> tuple[int, int]:
    """How specific a pattern is that fits: one without stars first, then by its letters; (-1, -1) if it does not."""
    if not fnmatchcase(path.lower(), pattern.lower()):
        return (-1, -1)
    return (int("*" not in pattern and "?" not in pattern), sum(letter not in "*?" for letter in pattern))
