"""How far Replicate's records lag behind their output, as was seen of late: when to ask for one."""

from collections.abc import Sequence

from cachetools import LRUCache

_MARKS = (0.0, 0.03, 0.13, 0.33, 0.73)
_HOPE = 20
_MODELS = 1000
"""Of so many models it is remembered how far their records lag."""


class Lag:
    """At first a record is asked for at once. Where that was in vain, the next ones are asked for when one was whole;
    each twentieth tries whether they are quicker again."""

    def __init__(self) -> None:
        self._place = self._asked = 0

    def marks(self) -> Sequence[float]:
        """Seconds after the output at which to ask, the first and, while it is not whole, the next."""
        self._asked += 1
        return _MARKS if self._asked % _HOPE == 0 else _MARKS[self._place :]

    def whole(self, mark: float) -> None:
        """A record was whole at this mark. One that was late is no reason to be much later with all others."""
        self._place = min(_MARKS.index(mark), self._place + 1)


class Lags:
    """Those of all models: one whose records come late makes those of no other late."""

    def __init__(self) -> None:
        self._of: LRUCache[str, Lag] = LRUCache(_MODELS)

    def of(self, model: str) -> Lag:
        """This model's, from now on if nothing of it is known."""
        return self._of.setdefault(model, Lag())
