"""How far Replicate's records lag behind their output, as was seen of late: when to ask for one."""

from collections.abc import Sequence

from cachetools import LRUCache

_MARKS = (0.0, 0.03, 0.13, 0.33, 0.73)
_HOPE, _SURE = 20, 5
_MODELS = 1000
"""Of so many models it is remembered how far their records lag."""


class Lag:
    """A record is asked for at once. Where that was in vain five times in a row, the next ones are asked for when one
    was whole, which spares requests and no time; each twentieth tries whether they are quicker again."""

    def __init__(self) -> None:
        self._place = self._asked = self._late = 0

    def marks(self) -> Sequence[float]:
        """Seconds after the output at which to ask, the first and, while it is not whole, the next."""
        self._asked += 1
        return _MARKS if self._asked % _HOPE == 0 else _MARKS[self._place :]

    def whole(self, mark: float) -> None:
        """A record was whole at this mark. One that was late is no reason to be much later with all others, and may be
        so by chance."""
        place = _MARKS.index(mark)
        self._late = self._late + 1 if place > self._place else 0
        if self._late < _SURE:
            place = min(place, self._place)
        else:
            place, self._late = self._place + 1, 0
        self._place = place


class Lags:
    """Those of all models: one whose records come late makes those of no other late."""

    def __init__(self) -> None:
        self._of: LRUCache[str, Lag] = LRUCache(_MODELS)

    def of(self, model: str) -> Lag:
        """This model's, from now on if nothing of it is known."""
        return self._of.setdefault(model, Lag())
