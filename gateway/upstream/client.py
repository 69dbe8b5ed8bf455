"""Replicate's API in the gateway's words: predictions made, read, cancelled and found again; files lent."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self, TypedDict, Unpack
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from adapters.errors import ApiError
from adapters.wire.replicate import Inputs, Prediction
from gateway.config import UpstreamConfig
from gateway.errors import MaybeCreated, NotFound, UnknownModel, UpstreamUnavailable
from gateway.upstream.allowance import POLL_SHARE, Allowance
from gateway.upstream.describing import Describing, decoded
from gateway.upstream.expecting import Expecting
from gateway.upstream.forms import form
from gateway.upstream.likeness import alike, digest
from gateway.upstream.models import FileReply, Model
from gateway.upstream.origin import Ask, Crossing, Origin
from gateway.upstream.routes import Route, Routes, choose, fixed
from gateway.upstream.statuses import LOST
from gateway.upstream.tokens import Token
from gateway.upstream.transport import patience_of, wire
from gateway.upstream.turns import NOBODY, Place, Share, Turns
from gateway.upstream.wire import Wire

__all__ = ["Upstream", "digest"]

_MIN_DEADLINE, _MAX_DEADLINE = 5, 24 * 3600
_MAX_WAIT = 60
_CLOCK_SKEW = timedelta(seconds=30)


class Manner(TypedDict, total=False):
    """How a create is made: its answer may take `wait` seconds and bring the output along; Replicate tells `webhook` of
    the end; `crossing` tells whether it has left, and until then it may be cancelled. `digest` is that of the inputs,
    where it is known."""

    digest: str
    wait: int | None
    webhook: str | None
    crossing: Crossing | None


async def _any(prediction: Prediction) -> bool:
    return True


class Upstream(Describing):
    """Replicate, for one gateway. `counted()` gives each call a view of its own, over the same connections."""

    def __init__(
        self,
        config: UpstreamConfig,
        tokens: Sequence[str],
        base_url: str,
        *,
        wires: Callable[[UpstreamConfig], Wire] = wire,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`base_url` as Replicate's SDK reads it, with its /v1. `wires` makes the connections: one pool for the API,
        one for streams, so that a thousand of those cannot keep a create waiting."""
        self.config = config
        self.clock = clock
        self.requests, self.waited = 0, 0.0
        self.allowance = Allowance(config.requests_per_minute * POLL_SHARE, clock)
        self.streams = wires(config)
        self._wire = wires(config)
        self._origin = Origin(config, tokens, base_url, self._wire, clock)
        secure = self._origin.base_url.startswith("https:")
        self._expecting = Expecting(self.streams, patience_of(config), secure=secure)
        self._routes = Routes()
        self._share = NOBODY
        self._creating: dict[tuple[str, str], set[asyncio.Future[None]]] = {}
        self._account: Token | None = None
        self._ended: dict[str, Prediction] = {}
        self.over: set[str] = set()
        """Ids of the predictions whose end was told in this view, be it without their metrics."""

    def counted(self, share: Share = NOBODY) -> Self:
        """The same upstream with a counter (and a memory of what has ended) of its own: one per client call.

        Its creates stand in the line of this `share`; `waited` is the most seconds that one of them stood there.
        """
        view = object.__new__(type(self))
        view.__dict__ |= self.__dict__  # a tenth of what `copy` takes
        view.requests, view.waited, view._share = 0, 0.0, share
        view._ended, view.over, view._account = {}, set(), None
        return view

    @property
    def turns(self) -> Turns:
        """The queue of everybody's creates."""
        return self._origin.turns

    @property
    def tokens(self) -> Sequence[Token]:
        """The operator's tokens, as they stand."""
        return self._origin.tokens.all

    @property
    def base_url(self) -> str:
        return self._origin.base_url

    async def create(self, model: Model, inputs: Inputs, *, deadline: int, **manner: Unpack[Manner]) -> Prediction:
        """Starts a prediction that Replicate stops by itself after `deadline` seconds. Never sent twice unless the
        first one provably made nothing.

        Raises InvalidRequest for inputs that the model refuses, MaybeCreated where the answer was lost, and others.
        """
        fields: dict[str, Any] = {"input": inputs}
        if webhook := manner.get("webhook"):
            fields |= {"webhook": webhook, "webhook_events_filter": ["completed"]}
        headers = {"cancel-after": f"{min(_MAX_DEADLINE, max(_MIN_DEADLINE, deadline))}s"}
        wait = manner.get("wait") or 0
        if wait:
            headers["prefer"] = f"wait={min(_MAX_WAIT, wait)}"
        ask = Ask(
            doing="create",
            method="POST",
            path="",
            headers=headers,
            token=self._account,
            read_seconds=self.config.read_seconds + wait if wait else None,
            crossing=manner.get("crossing"),
            place=Place(self._share, self.config.longest_wait_seconds),
        )
        route = self._routes.of(model)
        if not wait and not self.turns.waiting:
            self._expecting.expect(model.path)
        with self._under_way(model, manner.get("digest") or digest(inputs)):
            try:
                prediction = await self._created(route, fields, ask)
                self._expecting.learn(model.path, prediction)
                return prediction
            except UnknownModel:
                other = await self._other_route(model, route)
                if other is None:
                    raise
            prediction = await self._created(other, fields, ask)
        self._routes.learn(model, other)
        return prediction

    async def get(self, id: str) -> Prediction:
        """The prediction as it is now. Raises NotFound."""
        return await self._about(id, "GET", "")

    async def poll(self, id: str) -> Prediction:
        """The same, in its turn: polls wait in line for what the shared allowance leaves."""
        await self.allowance.turn()
        return await self._about(id, "GET", "", self.count)

    async def cancel(self, id: str) -> Prediction:
        """Stops it, and gives it as it then is. One that has ended stays as it ended."""
        return await self._about(id, "POST", "/cancel")

    def ended(self, id: str) -> Prediction | None:
        """The prediction at its end, if this view has seen it there."""
        return self._ended.get(id)

    def heard(self, prediction: Prediction) -> Prediction:
        """Remembers, for this view, a prediction that came by another way (a webhook); gives it back."""
        if prediction.final:
            self._ended[prediction.id] = prediction
        return prediction

    async def find_created(
        self, model: Model, inputs_digest: str, since: datetime, ours: Callable[[Prediction], Awaitable[bool]] = _any
    ) -> Prediction | None:
        """The prediction whose create's answer was lost: of this model and these inputs, made after `since`, and known
        to nobody in this process, nor to those whom `ours` asks. Looks at the newest pages of each token's account.
        None if there is none."""
        # Until creates of just the same are answered, theirs could be taken for the lost one.
        if same := self._creating.get((model.path, inputs_digest)):
            await asyncio.wait(list(same))
        async for prediction, token in self._unclaimed(model, inputs_digest, since):
            if await ours(prediction):
                self._origin.tokens.made(prediction.id, token)
                return self.heard(prediction)
        return None

    def creating(self, model: Model, inputs_digest: str) -> int:
        """How many creates of just this, of everybody's in this process, are not answered yet."""
        return len(self._creating.get((model.path, inputs_digest), ()))

    async def find_waiting(self, model: Model, inputs_digest: str, since: datetime) -> Prediction | None:
        """The prediction of a create that still waits for its answer, to cancel it. None where it is not there yet, and
        where several creates of the same are under way, for then nobody can tell whose it is."""
        seen = [prediction async for prediction, _ in self._unclaimed(model, inputs_digest, since)]
        # Creates that were answered meanwhile have told which are theirs; what has ended would be answered.
        found = [one for one in seen if not (one.final or self._origin.tokens.maker(one.id))]
        return found[0] if len(found) == self.creating(model, inputs_digest) == 1 else None

    async def upload(self, name: str, content_type: str, content: bytes) -> FileReply:
        """Sends a file to where models of this view's predictions can read it: an account's files are its own, so all
        of a view's creates and uploads go by one token from then on. Raises BodyTooLarge and others."""
        headers, body = form(name, content_type, content)
        ask = Ask(doing="file", method="POST", path="/files", body=body, headers=headers, token=self._account)
        reply, self._account = await self._origin.ask(ask, self.spend)
        return decoded(reply, FileReply)

    async def forget(self, file: FileReply) -> None:
        """Deletes a file that this view uploaded. Raises NotFound and others."""
        path = f"/files/{quote(file.id, safe='')}"
        await self._origin.ask(Ask(doing="file", method="DELETE", path=path, token=self._account), self.spend)

    async def aclose(self) -> None:
        """Closes the connections, of all views."""
        await self._wire.aclose()
        await self.streams.aclose()

    async def _created(self, route: Route, fields: Mapping[str, Any], ask: Ask) -> Prediction:
        told = msgspec.json.encode({**route.fields, **fields})
        try:
            body, token = await self._origin.ask(replace(ask, path=route.path, body=told), self.count)
        finally:
            self.waited = max(self.waited, ask.place.waited if ask.place else 0.0)
        try:
            prediction = msgspec.json.decode(body, type=Prediction)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A 2xx says that it exists, and nobody can tell under which id.
            raise MaybeCreated(LOST) from None
        self._origin.tokens.made(prediction.id, token)
        return self.heard(prediction)

    async def _other_route(self, model: Model, route: Route) -> Route | None:
        """A model unknown by this route may have become official, or stopped being it: look once."""
        if fixed(model.ref):
            return None
        record = await self.model(model.ref)
        if record.official is None:
            record = replace(record, official=route.version is not None)
        other = choose(record)
        return None if other == route else other

    async def _about(
        self, id: str, method: Literal["GET", "POST"], action: str, spent: Callable[[], None] | None = None
    ) -> Prediction:
        # The urls in a prediction are absolute: our own path by id is all that a token is ever sent to.
        path = f"/predictions/{quote(id, safe='')}{action}"
        maker, refused = self._origin.tokens.maker(id), ApiError("")
        for token in (maker,) if maker else self._origin.tokens.all:
            ask = Ask(doing="prediction", method=method, path=path, token=token)
            try:
                body, _ = await self._origin.ask(ask, spent or self.spend)
            except (NotFound, UpstreamUnavailable) as error:
                refused = error
                continue
            self._origin.tokens.made(id, token)
            return self.heard(decoded(body, Prediction))
        raise refused

    @contextmanager
    def _under_way(self, model: Model, inputs_digest: str) -> Iterator[None]:
        done, what = asyncio.get_running_loop().create_future(), (model.path, inputs_digest)
        same = self._creating.setdefault(what, set())
        same.add(done)
        try:
            yield
        finally:
            same.discard(done)
            if not same:
                del self._creating[what]
            done.set_result(None)

    async def _unclaimed(
        self, model: Model, inputs_digest: str, since: datetime
    ) -> AsyncIterator[tuple[Prediction, Token]]:
        """Predictions of this model and these inputs that no create of this process was answered with."""
        after = {"created_after": (since - _CLOCK_SKEW).astimezone(UTC).isoformat()}
        for token in self._origin.tokens.all:
            async for page in self.pages(token, after):
                for prediction in page:
                    if not self._origin.tokens.maker(prediction.id) and alike(prediction, model, inputs_digest):
                        yield prediction, token
