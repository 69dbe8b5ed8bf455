"""The API's own origin, and the only place a token goes: one request at a time, by a token that may."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

import httpx
import stamina
import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from adapters.errors import ApiError
from gateway.config import UpstreamConfig
from gateway.errors import MaybeCreated, RateLimited, UpstreamFailed
from gateway.upstream.statuses import BUSY, LOST, SILENT, UNREACHABLE, Answer, Doing, Fault, Unreachable, read, row
from gateway.upstream.tokens import Token, Tokens
from gateway.upstream.transport import patience_of
from gateway.upstream.turns import Place, Turns
from gateway.upstream.wire import Reply, Wire, header

log = structlog.get_logger()

_REMEDIES: Mapping[Fault, str] = {
    "refused": "Replicate does not accept this token: set REPLICATE_API_TOKEN to a valid one and restart",
    "broke": "Replicate wants credit or billing for this token's account: https://replicate.com/account/billing",
    "poor": "Replicate slows this token's account for little credit: https://replicate.com/account/billing",
}
_UNHINTED_REST = 1.0
_PLAIN = {"user-agent": "repligate", "accept": "*/*", "accept-encoding": "identity"}
_JSON = {**_PLAIN, "content-type": "application/json"}


@dataclass(slots=True)
class Crossing:
    """A create on its way: it can be called off until it is `under_way`; from then on, unless it is refused, it may
    have made something."""

    under_way: bool = False


class Ask(Struct, frozen=True, kw_only=True):
    """One request. `token` where only its account may ask; `read_seconds` where its answer is long in coming;
    `crossing` where somebody wants to know whether it has left; `place` is a create's among the others."""

    doing: Doing
    method: Literal["GET", "POST", "DELETE", "QUERY"]
    path: str
    body: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Token | None = None
    read_seconds: float | None = None
    crossing: Crossing | None = None
    place: Place | None = None


class Refusal(Exception):
    """A request that came to nothing: its error, whether it may be sent again, and whether a token is why."""

    def __init__(self, error: ApiError, *, again: bool, fault: Fault | None = None) -> None:
        super().__init__(type(error).__name__)
        self.error, self.again, self.fault = error, again, fault


class Origin:
    """Replicate's API at `base_url`, which ends in its version (`…/v1`)."""

    def __init__(
        self,
        config: UpstreamConfig,
        secrets: Sequence[str],
        base_url: str,
        wire: Wire,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.tokens = Tokens(secrets, clock, config.creates_per_minute)
        self.turns = Turns(self.tokens, clock)
        self._config, self._wire, self._clock = config, wire, clock
        self._waits = patience_of(config)

    async def ask(self, ask: Ask, spent: Callable[[], None]) -> tuple[bytes, Token]:
        """The body of the 2xx reply, and the token that was heard. `spent` is called for each request made.

        Within `retry_seconds` it is sent again if it never left or was throttled; a read also after failures. Raises
        ApiError.
        """
        until = self._clock() + self._config.retry_seconds
        try:
            return await self._heard(ask, spent)
        except Refusal as refusal:
            if not self._patience(refusal, until):
                raise refusal.error from refusal.__cause__
            return await self._again(ask, spent, refusal, until)

    async def _again(self, ask: Ask, spent: Callable[[], None], first: Refusal, until: float) -> tuple[bytes, Token]:
        """The attempts after the first, which came to nothing, as stamina times them."""
        attempts = stamina.retry_context(
            on=lambda error: self._patience(error, until),
            attempts=8,
            timeout=self._config.retry_seconds,
            wait_initial=0.1,
            wait_max=3.0,
            wait_jitter=0.1,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    if attempt.num == 1:
                        raise first
                    return await self._heard(ask, spent)
        except Refusal as refusal:
            raise refusal.error from refusal.__cause__
        raise AssertionError("an attempt returns or raises")

    def _patience(self, refusal: Exception, until: float) -> bool | float:
        """Whether to send again, and after how many seconds if upstream said so."""
        if not isinstance(refusal, Refusal) or not refusal.again:
            return False
        rest = refusal.error.retry_after
        if rest is None:
            return True
        return rest if self._clock() + rest < until else False

    async def _heard(self, ask: Ask, spent: Callable[[], None]) -> tuple[bytes, Token]:
        """One token after another, as long as it is the token that is at fault: then nothing was created."""
        if ask.place:
            return await self._in_turn(ask, ask.place, spent)
        tried: list[Token] = []
        while True:
            token = ask.token or self.tokens.next(tried)
            try:
                return await self._answered(ask, token, spent), token
            except Refusal as refusal:
                tried.append(token)
                if not refusal.fault or ask.token or len(tried) == len(self.tokens.all):
                    raise

    async def _in_turn(self, ask: Ask, place: Place, spent: Callable[[], None]) -> tuple[bytes, Token]:
        """A create, when it is its turn. Where a token fails it, it goes on with another, or comes again at the head of
        its line, for `retry_seconds` from its first turn on."""
        if ask.token:
            place.tried = [token for token in self.tokens.all if token is not ask.token]
        until: float | None = None
        while True:
            token = await self.turns.turn(place)
            until = until or self._clock() + self._config.retry_seconds
            try:
                return await self._answered(ask, token, spent), token
            except Refusal as refusal:
                if isinstance(refusal.error, Unreachable):
                    token.room.give_back()
                if refusal.fault in {"refused", "broke"}:
                    place.tried.append(token)
                if not refusal.fault or len(place.tried) == len(self.tokens.all):
                    raise
                place.patience = min(place.patience, place.waited + max(0.0, until - self._clock()))

    async def _answered(self, ask: Ask, token: Token, spent: Callable[[], None]) -> bytes:
        if not ask.place and (rest := self.tokens.rest(token)):
            raise Refusal(RateLimited(BUSY, retry_after=rest), again=True, fault="limited")
        spent()
        crossing = ask.crossing or Crossing()
        crossing.under_way = True
        try:
            reply = await self._sent(ask, token)
            self._learn(ask, reply, token)
            if not 200 <= reply.status < 300:
                raise self._refused(ask, reply, token)
        except Refusal as refusal:
            crossing.under_way = isinstance(refusal.error, MaybeCreated)
            raise
        self._well(token)
        return reply.content

    def _learn(self, ask: Ask, reply: Reply, token: Token) -> None:
        """What Replicate says is left of the account's creates."""
        if ask.place and (remaining := header(reply.raw_headers, b"ratelimit-remaining")).isdecimal():
            token.room.heard(int(remaining), self._clock())

    async def _sent(self, ask: Ask, token: Token) -> Reply:
        url = f"{self.base_url}{ask.path}?{urlencode(ask.params)}" if ask.params else self.base_url + ask.path
        headers = {**(_PLAIN if ask.body is None else _JSON), **ask.headers, **token.header}
        waits = self._waits
        if ask.read_seconds is not None:
            waits = waits._replace(quiet=ask.read_seconds, slow=True)
        try:
            return await self._wire.ask(ask.method, url, headers, ask.body, waits)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise Refusal(Unreachable(UNREACHABLE), again=True) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            if ask.doing == "create":
                raise Refusal(MaybeCreated(LOST), again=False) from error
            raise Refusal(UpstreamFailed(SILENT), again=True) from error

    def _refused(self, ask: Ask, reply: Reply, token: Token) -> Refusal:
        told = read(reply.status, reply.headers, reply.content, ask.doing)
        answer = replace(told, title=self.tokens.hidden(told.title), detail=self.tokens.hidden(told.detail))
        verdict = row(answer)
        error = verdict.error(answer)
        again = verdict.again and (ask.doing != "create" or verdict.fault is not None)
        if verdict.fault:
            error.retry_after = self._blamed(ask, token, verdict.fault, answer)
        elif answer.problem and answer.status < 500:
            self._well(token)
        return Refusal(error, again=again, fault=verdict.fault)

    def _blamed(self, ask: Ask, token: Token, fault: Fault, answer: Answer) -> float | None:
        """Sets the token aside, and tells the operator once; gives the seconds after which it may go on."""
        rest, news = None, False
        if fault in {"refused", "broke"}:
            news = self.tokens.ill(token, fault)
        else:
            rest = _UNHINTED_REST if answer.retry_after is None else answer.retry_after
            news = self._limited(ask, token, fault, answer, rest)
        if news:
            log.error("replicate token", token=token.label, fault=fault, remedy=_REMEDIES[fault])
        return rest

    def _limited(self, ask: Ask, token: Token, fault: Fault, answer: Answer, rest: float) -> bool:
        """Lets the token rest, creates and others apart; says whether its operator has to hear of that."""
        if not ask.place:
            self.tokens.limited(token, rest)
            return False
        now, news = self._clock(), fault == "poor" and not token.room.slowed
        if fault == "poor":
            token.room.slow(*answer.reduced_to, now)
        token.room.rest(rest, now)
        return news

    def _well(self, token: Token) -> None:
        if fault := self.tokens.well(token):
            log.info("replicate token is well again", token=token.label, fault=fault)
