"""Where a text ends: at a stop text, wherever the pieces it arrives in are cut, or at a length."""

from collections.abc import Sequence

from adapters.thoughts import unsure

BYTES_PER_TOKEN = 4
"""What a token is worth when nobody counted: right to a third for English and Chinese alike."""


class Stops:
    """Lets text through up to the stop text that is complete first; the stop text itself never leaves.

    Held back is only the longest end that may yet become a stop text.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(dict.fromkeys(stop for stop in stops if stop))
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """What may be shown; nothing once a stop text was met."""
        if self.met:
            return ""
        if not self._stops:
            return text
        self._held += text
        # Complete first, not begun first: so a text cut anywhere ends at the same place.
        ends = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.met = True
            shown, self._held = self._held[: min(ends)[1]], ""
            return shown
        size = len(self._held) - unsure(self._held, self._stops)
        shown, self._held = self._held[:size], self._held[size:]
        return shown

    def close(self) -> str:
        """What was held back, now that nothing follows."""
        shown, self._held = self._held, ""
        return shown


class Length:
    """Lets so many tokens through, counted by bytes: for limits the model could not be told."""

    def __init__(self, tokens: int | None) -> None:
        self._left = None if tokens is None else tokens * BYTES_PER_TOKEN
        self.met = False

    def feed(self, text: str) -> str:
        """What may be shown."""
        if self._left is None or not text:
            return text
        if self.met:
            return ""
        size = len(text.encode("utf-8", "surrogatepass"))
        if size <= self._left:
            self._left -= size
            return text
        self.met = True
        return text.encode("utf-8", "surrogatepass")[: self._left].decode("utf-8", "ignore")
