"""The API's own origin, and the only place a token goes: one request at a time, by a token that may."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import httpx
import stamina
import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from adapters.errors import ApiError
from gateway.config import UpstreamConfig
from gateway.errors import MaybeCreated, RateLimited, UpstreamFailed
from gateway.upstream.statuses import BUSY, LOST, SILENT, UNREACHABLE, Doing, Fault, Unreachable, read, row
from gateway.upstream.tokens import Bucket, Token, Tokens
from gateway.upstream.transport import timeouts

log = structlog.get_logger()

_REMEDIES: Mapping[Fault, str] = {
    "refused": "Replicate does not accept this token: set REPLICATE_API_TOKEN to a valid one and restart",
    "broke": "Replicate wants credit or billing for this token's account: https://replicate.com/account/billing",
    "poor": "Replicate slows this token's account for little credit: https://replicate.com/account/billing",
}
_UNHINTED_REST = 1.0


class Ask(Struct, frozen=True, kw_only=True):
    """One request. `token` where only its account may ask; `read_seconds` where an answer may be long in coming."""

    doing: Doing
    method: Literal["GET", "POST"]
    path: str
    body: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Token | None = None
    read_seconds: float | None = None

    @property
    def bucket(self) -> Bucket:
        return "creates" if self.doing == "create" else "others"


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
        http: httpx.AsyncClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.tokens = Tokens(secrets, clock)
        self._config, self._http, self._clock = config, http, clock

    async def ask(self, ask: Ask, spent: Callable[[], None]) -> tuple[bytes, Token]:
        """The body of the 2xx reply, and the token that was heard. `spent` is called for each request made.

        Within `retry_seconds` it is sent again if it never left or was throttled; a read also after failures. Raises
        ApiError.
        """
        until = self._clock() + self._config.retry_seconds
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
        tried: list[Token] = []
        while True:
            token = ask.token or self.tokens.next(ask.bucket, tried)
            try:
                return await self._answered(ask, token, spent), token
            except Refusal as refusal:
                tried.append(token)
                if not refusal.fault or ask.token or len(tried) == len(self.tokens.all):
                    raise

    async def _answered(self, ask: Ask, token: Token, spent: Callable[[], None]) -> bytes:
        if rest := self.tokens.rest(token, ask.bucket):
            raise Refusal(RateLimited(BUSY, retry_after=rest), again=True, fault="limited")
        spent()
        reply = await self._sent(ask, token)
        if reply.is_success:
            return reply.content
        raise self._refused(ask, reply, token)

    async def _sent(self, ask: Ask, token: Token) -> httpx.Response:
        typed = {"content-type": "application/json"} if ask.body is not None else {}
        try:
            return await self._http.request(
                ask.method,
                self.base_url + ask.path,
                content=ask.body,
                params=ask.params or None,
                headers={**ask.headers, **typed, **token.header},
                timeout=timeouts(self._config, ask.read_seconds),
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise Refusal(Unreachable(UNREACHABLE), again=True) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            if ask.doing == "create":
                raise Refusal(MaybeCreated(LOST), again=False) from error
            raise Refusal(UpstreamFailed(SILENT), again=True) from error

    def _refused(self, ask: Ask, reply: httpx.Response, token: Token) -> Refusal:
        told = read(reply.status_code, reply.headers, reply.content, ask.doing)
        answer = replace(told, title=self.tokens.hidden(told.title), detail=self.tokens.hidden(told.detail))
        verdict = row(answer)
        error = verdict.error(answer)
        again = verdict.again and (ask.doing != "create" or verdict.fault is not None)
        if verdict.fault:
            error.retry_after = self._blamed(ask, token, verdict.fault, answer.retry_after)
        return Refusal(error, again=again, fault=verdict.fault)

    def _blamed(self, ask: Ask, token: Token, fault: Fault, rest: float | None) -> float | None:
        """Sets the token aside, and tells the operator once; gives the seconds after which it may go on."""
        slow = fault in {"poor", "limited"}
        seconds = (_UNHINTED_REST if rest is None else rest) if slow else None
        news = self.tokens.ill(token) if seconds is None else self.tokens.limited(token, ask.bucket, seconds)
        if news and fault in _REMEDIES:
            log.error("replicate token", token=token.label, fault=fault, remedy=_REMEDIES[fault])
        return seconds
