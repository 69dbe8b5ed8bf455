"""The operator's tokens: whose turn it is, who made which prediction, and who must rest."""

import hashlib
from collections.abc import Callable, Collection, Sequence

from gateway.upstream.room import Room

CREATES_PER_MINUTE = 600.0
"""What Replicate allows an account (api.md §7.3). Creates are counted apart: one that is throttled holds up no read
and no cancel."""

REMEMBERED = 5_000
"""Of so many predictions that were heard of last it is known who made them, and of as many before them at most. Each
is 0.1 KiB for good. Of one that is forgotten all tokens are asked; and where an answer to a create was lost, only
Replicate's newest 300 are looked through."""

_ILL_SECONDS = 60.0


class Token:
    """A token of Replicate's. Its secret shows in nothing but the header; `label` is what logs call it, `fault` what is
    known to be wrong with it, and `room` what it may create."""

    __slots__ = ("__secret", "fault", "free_at", "ill_until", "label", "room")

    def __init__(self, secret: str, label: str, room: Room) -> None:
        self.__secret = secret
        self.label, self.room = label, room
        self.free_at = self.ill_until = 0.0
        self.fault: str | None = None

    @property
    def name(self) -> str:
        """What other gateways know it by, of which nobody can make the secret again."""
        return hashlib.sha256(self.__secret.encode()).hexdigest()[:24]

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

    def __init__(
        self, secrets: Sequence[str], clock: Callable[[], float], creates_per_minute: float = CREATES_PER_MINUTE
    ) -> None:
        if not secrets:
            raise ValueError("there is no token")
        self.all = tuple(
            Token(secret, f"token {place} of {len(secrets)}", Room(creates_per_minute, clock()))
            for place, secret in enumerate(secrets, 1)
        )
        self._clock = clock
        self._makers: dict[str, Token] = {}
        self._earlier: dict[str, Token] = {}
        self._turn = 0

    def next(self, tried: Collection[Token] = ()) -> Token:
        """For a read or a cancel. In turn, those that are well and free; else the one that is free soonest; else one
        that was ill. Not all may have been tried."""
        left = [token for token in (*self.all[self._turn :], *self.all[: self._turn]) if token not in tried]
        now = self._clock()
        chosen = min(left, key=lambda token: (token.ill_until > now, max(0.0, token.free_at - now)))
        self.chosen(chosen)
        return chosen

    def fit(self, tried: Collection[Token]) -> Sequence[Token]:
        """Those that may create, in turn: the ones that are well; where none is, the others may be asked again."""
        left = [token for token in (*self.all[self._turn :], *self.all[: self._turn]) if token not in tried]
        now = self._clock()
        return [token for token in left if token.ill_until <= now] or left

    def chosen(self, token: Token) -> None:
        """This one has had its turn. One that was ill is asked by one request at a time whether it still is."""
        self._turn = (self.all.index(token) + 1) % len(self.all)
        if token.ill_until:
            token.ill_until = self._clock() + _ILL_SECONDS

    def rest(self, token: Token) -> float:
        """Seconds until this token may be used for a read or a cancel again."""
        return max(0.0, token.free_at - self._clock())

    def limited(self, token: Token, seconds: float) -> None:
        """It rests from reads and cancels."""
        token.free_at = max(token.free_at, self._clock() + seconds)

    def ill(self, token: Token, fault: str) -> bool:
        """Sets it aside for a minute; says whether that is news."""
        token.ill_until = self._clock() + _ILL_SECONDS
        news, token.fault = token.fault != fault, fault
        return news

    def well(self, token: Token) -> str | None:
        """It was heard; gives the fault that it is over with, if that is news."""
        if not token.ill_until:
            return None
        token.ill_until, fault, token.fault = 0.0, token.fault, None
        return fault

    def made(self, prediction: str, token: Token) -> None:
        """This token's account has it. Those heard of longest ago are forgotten first, all at once."""
        self._makers[prediction] = token
        if len(self._makers) >= REMEMBERED:
            self._earlier, self._makers = self._makers, {}

    def maker(self, prediction: str) -> Token | None:
        """Who made it, if it was in this process: its account alone can read and cancel it."""
        return self._makers.get(prediction) or self._earlier.get(prediction)

    def hidden(self, text: str) -> str:
        for token in self.all:
            text = token.hidden(text)
        return text
