"""What Replicate tells about models and accounts, by reads that are counted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from adapters.errors import ApiError
from adapters.wire.replicate import ModelRef, Prediction
from gateway.errors import UnknownModel, UpstreamFailed
from gateway.upstream.allowance import Allowance
from gateway.upstream.models import (
    DeploymentReply,
    ModelReply,
    ModelsReply,
    PageReply,
    Record,
    SecretReply,
    VersionReply,
)
from gateway.upstream.origin import Ask, Origin
from gateway.upstream.tokens import Token

T = TypeVar("T")

_PAGES = 10
"""Of a hundred predictions each: all that an account may create within a minute and a half."""


class Describing:
    """What an upstream only reads. `requests` counts all that its view asks; the `allowance` is everybody's."""

    requests: int
    allowance: Allowance
    _origin: Origin

    async def model(self, ref: ModelRef) -> Record:
        """What Replicate says of a model, version or deployment, in one to three requests. Raises UnknownModel."""
        if ref.deployment:
            return await self._deployed(ref)
        if not ref.path:
            return await self._model_of_version(ref)
        record = (await self._told(ref, f"/models/{_path(ref)}", ModelReply)).record
        if ref.version in {None, record.version}:
            return record
        return (await self._told(ref, f"/models/{_path(ref)}/versions/{ref.version}", VersionReply)).on(record)

    async def search(self, words: str) -> list[Record]:
        """The public models that Replicate finds by these words, the best first."""
        text = {"content-type": "text/plain; charset=utf-8"}
        ask = Ask(doing="model", method="QUERY", path="/models", body=words.encode(), headers=text)
        body, _ = await self._origin.ask(ask, self.spend)
        return [each.record for each in decoded(body, ModelsReply).results]

    async def collection(self, slug: str) -> list[Record]:
        """The models of a collection of Replicate's. Raises UnknownModel."""
        found = await self._read(f"/collections/{quote(slug, safe='')}", ModelsReply)
        return [each.record for each in found.models]

    async def webhook_secrets(self) -> list[str]:
        """The signing secret of each token's account, as far as they can be had. Raises ApiError if none can."""
        asked = [self._read("/webhooks/default/secret", SecretReply, token) for token in self._origin.tokens.all]
        told = await asyncio.gather(*asked, return_exceptions=True)
        secrets = [secret.key for secret in told if isinstance(secret, SecretReply)]
        for error in told:
            if isinstance(error, BaseException) and not (secrets and isinstance(error, ApiError)):
                raise error
        return secrets

    async def pages(self, token: Token, params: Mapping[str, str]) -> AsyncIterator[list[Prediction]]:
        """The newest pages of this account's predictions. Of the next page's address only the cursor is used."""
        for _ in range(_PAGES):
            page = await self._read("/predictions", PageReply, token, params)
            yield page.results
            cursor = parse_qs(urlsplit(page.next or "").query).get("cursor")
            if not cursor:
                return
            params = {**params, "cursor": cursor[0]}

    def count(self) -> None:
        """Counts a request that the shared allowance does not know: a create or a stream."""
        self.requests += 1

    def spend(self) -> None:
        """Counts a request that could not wait for its turn."""
        self.count()
        self.allowance.spend()

    async def _read(
        self, path: str, kind: type[T], token: Token | None = None, params: Mapping[str, str] | None = None
    ) -> T:
        ask = Ask(doing="model", method="GET", path=path, token=token, params=params or {})
        body, _ = await self._origin.ask(ask, self.spend)
        return decoded(body, kind)

    async def _told(self, ref: ModelRef, path: str, kind: type[T]) -> T:
        """What Replicate says of a model there. Raises UnknownModel, which names it."""
        try:
            return await self._read(path, kind)
        except UnknownModel:
            raise UnknownModel(f"The model `{ref}` does not exist or you do not have access to it.") from None

    async def _deployed(self, ref: ModelRef) -> Record:
        release = (await self._told(ref, f"/deployments/{_path(ref)}", DeploymentReply)).current_release
        if release is None:
            raise UnknownModel(f"The deployment {ref.path!r} has no release to run.")
        model = ModelRef.parse(release.model)
        return await self.model(ModelRef(model.owner, model.name, release.version))

    async def _model_of_version(self, ref: ModelRef) -> Record:
        """No route of Replicate's tells whose version an id is; the account's own recent predictions may."""
        for token in self._origin.tokens.all:
            for prediction in await anext(self.pages(token, {})):
                if prediction.version == ref.version and prediction.model:
                    model = ModelRef.parse(prediction.model)
                    return await self.model(ModelRef(model.owner, model.name, ref.version))
        raise UnknownModel(
            f"Replicate does not tell what the version {ref.version} takes: write it as owner/name:{ref.version}."
        )


def decoded(body: bytes, kind: type[T]) -> T:
    """A reply's body, or UpstreamFailed."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UpstreamFailed("Replicate's answer could not be read.") from None


def _path(ref: ModelRef) -> str:
    return f"{quote(ref.owner, safe='')}/{quote(ref.name, safe='')}"
