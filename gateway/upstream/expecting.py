"""Streams that are about to be read: a connection to their host is made while their create is on its way."""

from cachetools import LRUCache

from adapters.wire.replicate import Prediction
from gateway.upstream.wire import Patience, Wire

_REMEMBERED = 1000


class Expecting:
    """Takes it that the streams of a model stay on their host. The first word would wait for a handshake with it, which
    is some round trips; and no earlier stream leaves its connection to another, for Replicate keeps it open."""

    def __init__(self, wire: Wire, patience: Patience, *, secure: bool) -> None:
        self._wire, self._patience, self._secure = wire, patience, secure
        self._seen: LRUCache[str, str] = LRUCache(_REMEMBERED)

    def expect(self, model: str) -> None:
        """A prediction of this model is being created, and its stream will be read."""
        if url := self._seen.get(model):
            self._wire.warm(url, self._patience)

    def learn(self, model: str, prediction: Prediction) -> None:
        url = prediction.urls.stream
        if url and url.startswith("https:" if self._secure else "http"):
            self._seen[model] = url
