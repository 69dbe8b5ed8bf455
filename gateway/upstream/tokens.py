"""The operator's tokens: whose turn it is, who made which prediction, and who must rest."""

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from cachetools import LRUCache

Bucket = Literal["creates", "others"]
"""Replicate counts creates apart (api.md §7.3): one that is throttled holds up no read and no cancel."""

_REMEMBERED = 100_000
_ILL_SECONDS = 60.0


class Token:
    """A token of Replicate's. Its secret shows in nothing but the header; `label` is what logs call it."""

    __slots__ = ("__secret", "free_at", "ill_until", "label")

    def __init__(self, secret: str, label: str) -> None:
        self.__secret = secret
        self.label = label
        self.free_at: dict[Bucket, float] = {"creates": 0.0, "others": 0.0}
        self.ill_until = 0.0

    @property
    def header(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.__secret}"}

    def hidden(self, text: str) -> str:
        """The text without this secret, should upstream have quoted it."""
        return text.replace(self.__secret, "***")

    def __repr__(self) -> str:
        return f"<{self.label}>"


class Tokens:
    """Spreads requests over tokens. `clock` gives seconds that never go back."""

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float]) -> None:
        if not secrets:
            raise ValueError("there is no token")
        self.all = tuple(Token(secret, f"token {place} of {len(secrets)}") for place, secret in enumerate(secrets, 1))
        self._clock = clock
        self._makers: LRUCache[str, Token] = LRUCache(_REMEMBERED)
        self._turn = 0

    def next(self, bucket: Bucket, tried: Collection[Token] = ()) -> Token:
        """In turn, those that are well and free; else the one that is free soonest; else one that was ill.

        Not all may have been tried."""
        left = [token for token in (*self.all[self._turn :], *self.all[: self._turn]) if token not in tried]
        now = self._clock()
        chosen = min(left, key=lambda token: (token.ill_until > now, max(0.0, token.free_at[bucket] - now)))
        self._turn = (self.all.index(chosen) + 1) % len(self.all)
        return chosen

    def rest(self, token: Token, bucket: Bucket) -> float:
        """Seconds until this token may be used for such a request again."""
        return max(0.0, token.free_at[bucket] - self._clock())

    def limited(self, token: Token, bucket: Bucket, seconds: float) -> bool:
        """Rests it; says whether it was free until now."""
        news = not self.rest(token, bucket)
        token.free_at[bucket] = max(token.free_at[bucket], self._clock() + seconds)
        return news

    def ill(self, token: Token) -> bool:
        """Sets it aside for a minute; says whether that is news."""
        now = self._clock()
        news = token.ill_until <= now
        token.ill_until = now + _ILL_SECONDS
        return news

    def made(self, prediction: str, token: Token) -> None:
        self._makers[prediction] = token

    def maker(self, prediction: str) -> Token | None:
        """Who made it, if it was in this process: its account alone can read and cancel it."""
        return self._makers.get(prediction)

    def hidden(self, text: str) -> str:
        for token in self.all:
            text = token.hidden(text)
        return text
