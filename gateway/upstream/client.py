"""Replicate's API in the gateway's words: predictions made, read, cancelled and found again; models described."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import msgspec
from msgspec.structs import replace

from adapters.errors import ApiError
from adapters.wire.replicate import Inputs, ModelRef, Prediction
from gateway.config import UpstreamConfig
from gateway.errors import MaybeCreated, NotFound, UnknownModel, UpstreamFailed, UpstreamUnavailable
from gateway.upstream.allowance import POLL_SHARE, Allowance
from gateway.upstream.likeness import alike, digest
from gateway.upstream.models import DeploymentReply, Model, ModelReply, PageReply, Record, SecretReply, VersionReply
from gateway.upstream.origin import Ask, Origin
from gateway.upstream.routes import Route, Routes, choose, fixed
from gateway.upstream.statuses import LOST
from gateway.upstream.tokens import Token
from gateway.upstream.transport import client

__all__ = ["Upstream", "digest"]

T = TypeVar("T")

_MIN_DEADLINE, _MAX_DEADLINE = 5, 24 * 3600
_MAX_WAIT = 60
_PAGES = 3
_CLOCK_SKEW = timedelta(seconds=30)


class Upstream:
    """Replicate, for one gateway. `counted()` gives each call a view of its own, over the same connections."""

    def __init__(
        self,
        config: UpstreamConfig,
        tokens: Sequence[str],
        base_url: str,
        *,
        clients: Callable[[UpstreamConfig], httpx.AsyncClient] = client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`base_url` as Replicate's SDK reads it, with its /v1. `clients` makes the connections: one pool for the API,
        one for streams, so that a thousand of those cannot keep a create waiting."""
        self.config = config
        self.clock = clock
        self.requests = 0
        self.allowance = Allowance(config.requests_per_minute * POLL_SHARE, clock)
        self.streams = clients(config)
        self._http = clients(config)
        self._origin = Origin(config, tokens, base_url, self._http, clock)
        self._routes = Routes()
        self._creating: dict[asyncio.Future[None], tuple[str, Inputs]] = {}
        self._ended: dict[str, Prediction] = {}
        self.over: set[str] = set()
        """Ids of the predictions whose end was told in this view, be it without their metrics."""

    def counted(self) -> Self:
        """The same upstream with a counter (and a memory of what has ended) of its own: one per client call."""
        view = copy.copy(self)
        view.requests, view._ended, view.over = 0, {}, set()
        return view

    @property
    def base_url(self) -> str:
        return self._origin.base_url

    async def create(
        self, model: Model, inputs: Inputs, *, deadline: int, wait: int | None = None, webhook: str | None = None
    ) -> Prediction:
        """Starts a prediction that Replicate stops by itself after `deadline` seconds; with `wait`, its answer may take
        that many seconds and bring the output along. Never sent twice unless the first one provably made nothing.

        Raises InvalidRequest for inputs that the model refuses, MaybeCreated where the answer was lost, and others.
        """
        fields: dict[str, Any] = {"input": inputs}
        if webhook:
            fields |= {"webhook": webhook, "webhook_events_filter": ["completed"]}
        headers = {"cancel-after": f"{min(_MAX_DEADLINE, max(_MIN_DEADLINE, deadline))}s"}
        if wait:
            headers["prefer"] = f"wait={min(_MAX_WAIT, wait)}"
        route = self._routes.of(model)
        with self._under_way(model, inputs):
            try:
                return await self._created(route, fields, headers, wait)
            except UnknownModel:
                other = await self._other_route(model, route)
                if other is None:
                    raise
            prediction = await self._created(other, fields, headers, wait)
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

    async def find_created(self, model: Model, inputs_digest: str, since: datetime) -> Prediction | None:
        """The prediction whose create's answer was lost: of this model and these inputs, made after `since`, and known
        to nobody in this process. Looks at the newest three pages of each token's account. None if there is none."""
        # Until creates of just the same are answered, theirs could be taken for the lost one.
        if same := self._same_under_way(model, inputs_digest):
            await asyncio.wait(same)
        async for prediction, token in self._unclaimed(model, inputs_digest, since):
            self._origin.tokens.made(prediction.id, token)
            return self.heard(prediction)
        return None

    async def find_waiting(self, model: Model, inputs_digest: str, since: datetime) -> Prediction | None:
        """The prediction of a create that still waits for its answer, to cancel it. None where several wait for the
        same, for then nobody can tell whose it is."""
        found = [prediction async for prediction, _ in self._unclaimed(model, inputs_digest, since)]
        return found[0] if len(found) == len(self._same_under_way(model, inputs_digest)) == 1 else None

    async def model(self, ref: ModelRef) -> Record:
        """What Replicate says of a model, version or deployment, in one to three requests. Raises UnknownModel."""
        if ref.deployment:
            return await self._deployed(ref)
        if not ref.path:
            return await self._model_of_version(ref)
        record = (await self._read(f"/models/{_path(ref)}", ModelReply)).record
        if ref.version in {None, record.version}:
            return record
        return (await self._read(f"/models/{_path(ref)}/versions/{ref.version}", VersionReply)).on(record)

    async def webhook_secrets(self) -> list[str]:
        """The signing secret of each token's account, as far as they can be had. Raises ApiError if none can."""
        asked = [self._read("/webhooks/default/secret", SecretReply, token) for token in self._origin.tokens.all]
        told = await asyncio.gather(*asked, return_exceptions=True)
        secrets = [secret.key for secret in told if isinstance(secret, SecretReply)]
        for error in told:
            if isinstance(error, BaseException) and not (secrets and isinstance(error, ApiError)):
                raise error
        return secrets

    async def aclose(self) -> None:
        """Closes the connections, of all views."""
        await self._http.aclose()
        await self.streams.aclose()

    def count(self) -> None:
        """Counts a request that the shared allowance does not know: a create or a stream."""
        self.requests += 1

    def spend(self) -> None:
        """Counts a request that could not wait for its turn."""
        self.count()
        self.allowance.spend()

    async def _created(
        self, route: Route, fields: Mapping[str, Any], headers: Mapping[str, str], wait: int | None
    ) -> Prediction:
        ask = Ask(
            doing="create",
            method="POST",
            path=route.path,
            body=msgspec.json.encode({**route.fields, **fields}),
            headers=headers,
            read_seconds=self.config.read_seconds + (wait or 0),
        )
        body, token = await self._origin.ask(ask, self.count)
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
            return self.heard(_decoded(body, Prediction))
        raise refused

    async def _read(
        self, path: str, kind: type[T], token: Token | None = None, params: Mapping[str, str] | None = None
    ) -> T:
        ask = Ask(doing="model", method="GET", path=path, token=token, params=params or {})
        body, _ = await self._origin.ask(ask, self.spend)
        return _decoded(body, kind)

    async def _deployed(self, ref: ModelRef) -> Record:
        release = (await self._read(f"/deployments/{_path(ref)}", DeploymentReply)).current_release
        if release is None:
            raise UnknownModel(f"The deployment {ref.path!r} has no release to run.")
        model = ModelRef.parse(release.model)
        return await self.model(ModelRef(model.owner, model.name, release.version))

    async def _model_of_version(self, ref: ModelRef) -> Record:
        """No route of Replicate's tells whose version an id is; the account's own recent predictions may."""
        for token in self._origin.tokens.all:
            for prediction in await anext(self._pages(token, {})):
                if prediction.version == ref.version and prediction.model:
                    model = ModelRef.parse(prediction.model)
                    return await self.model(ModelRef(model.owner, model.name, ref.version))
        raise UnknownModel(
            f"Replicate does not tell what the version {ref.version} takes: write it as owner/name:{ref.version}."
        )

    async def _pages(self, token: Token, params: Mapping[str, str]) -> AsyncIterator[list[Prediction]]:
        """The newest pages of this account's predictions. Of the next page's address only the cursor is used."""
        for _ in range(_PAGES):
            page = await self._read("/predictions", PageReply, token, params)
            yield page.results
            cursor = parse_qs(urlsplit(page.next or "").query).get("cursor")
            if not cursor:
                return
            params = {**params, "cursor": cursor[0]}

    @contextmanager
    def _under_way(self, model: Model, inputs: Inputs) -> Iterator[None]:
        done = asyncio.get_running_loop().create_future()
        self._creating[done] = model.path, inputs
        try:
            yield
        finally:
            del self._creating[done]
            done.set_result(None)

    def _same_under_way(self, model: Model, inputs_digest: str) -> list[asyncio.Future[None]]:
        return [
            done
            for done, (path, inputs) in self._creating.items()
            if path == model.path and digest(inputs) == inputs_digest
        ]

    async def _unclaimed(
        self, model: Model, inputs_digest: str, since: datetime
    ) -> AsyncIterator[tuple[Prediction, Token]]:
        """Predictions of this model and these inputs that no create of this process was answered with."""
        after = {"created_after": (since - _CLOCK_SKEW).astimezone(UTC).isoformat()}
        for token in self._origin.tokens.all:
            async for page in self._pages(token, after):
                for prediction in page:
                    if not self._origin.tokens.maker(prediction.id) and alike(prediction, model, inputs_digest):
                        yield prediction, token


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UpstreamFailed("Replicate's answer could not be read.") from None


def _path(ref: ModelRef) -> str:
    return f"{quote(ref.owner, safe='')}/{quote(ref.name, safe='')}"
