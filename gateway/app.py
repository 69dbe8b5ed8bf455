"""The one place where the parts are joined."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

import structlog
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.types import ASGIApp

from adapters.catalog import installed
from adapters.errors import ApiError
from gateway import carrying, filing, filming
from gateway.accounts.audit import Audit
from gateway.accounts.budgets import Budgets
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.accounts.limits import Limits
from gateway.accounts.notices import Notices
from gateway.accounts.paces import Paces
from gateway.accounts.prices import Prices
from gateway.accounts.pruning import Pruning
from gateway.accounts.replies import Replies
from gateway.accounts.teams import Teams
from gateway.api import (
    admin,
    audio,
    chat,
    completions,
    embeddings,
    failures,
    files,
    health,
    images,
    models,
    moderations,
    outputs,
    responses,
    surface,
    uploads,
    usage,
    videos,
    webhooks,
)
from gateway.api.doors import open_doors
from gateway.api.identity import Identified
from gateway.api.intended import Intended
from gateway.api.paths import Slashed
from gateway.api.replies import EXPOSED
from gateway.config import Config
from gateway.draining import SETTLE_SECONDS
from gateway.intents import Intents
from gateway.joining import join
from gateway.parts import Gateway, Replicate
from gateway.recovery import post, recover
from gateway.replicas import Replicas
from gateway.store.journal import Journal
from gateway.store.objects import Objects
from gateway.store.secrets import secret_of
from gateway.store.shelf import Shelf
from gateway.store.sql import Store
from gateway.telling import tell
from gateway.upstream.client import Upstream
from gateway.upstream.fetching import Fetching
from gateway.upstream.finding import Finding
from gateway.upstream.messenger import Messenger
from gateway.upstream.outputs import Outputs, signing_key
from gateway.upstream.schemas import Schemas
from gateway.upstream.transport import client, patience_of, wire
from gateway.upstream.waiting import Waiting
from gateway.upstream.webhooks import Bells, Webhooks

log = structlog.get_logger()

LEASE_MARGIN = 60.0
"""Seconds for which a call may go on after its predictions' deadline: then its place is given to another."""

BELIEVED_SECONDS = 900.0
"""How long keys are believed while the books are away, where new calls are allowed then."""

TIDY_SECONDS, RETRY_SECONDS = 600.0, 15.0

HANDLERS = (
    *admin.HANDLERS,
    audio.create_speech,
    audio.create_transcription,
    audio.create_translation,
    chat.create_chat_completion,
    completions.create_completion,
    embeddings.create_embedding,
    files.create_file,
    files.list_files,
    files.get_file,
    files.get_file_content,
    files.delete_file,
    images.create_image,
    images.edit_image,
    images.vary_image,
    models.list_models,
    moderations.create_moderation,
    models.get_model,
    outputs.get_output,
    responses.create_response,
    responses.get_response,
    responses.cancel_response,
    responses.delete_response,
    responses.list_input_items,
    surface.get_surface,
    uploads.create_upload,
    uploads.add_part,
    uploads.complete_upload,
    uploads.cancel_upload,
    usage.get_usage,
    videos.create_video,
    videos.list_videos,
    videos.get_video,
    videos.get_video_content,
    videos.remix_video,
    videos.delete_video,
    webhooks.receive_webhook,
    health.live,
    health.ready,
)


def create_app(gateway: Gateway) -> ASGIApp:
    """The HTTP face of these parts."""
    server = gateway.config.server
    app = Litestar(
        route_handlers=HANDLERS,
        exception_handlers=failures.HANDLERS,
        state=State({"gateway": gateway}),
        request_max_body_size=server.max_body_mb * 1024 * 1024,
        cors_config=CORSConfig(
            allow_origins=list(server.cors_origins),
            expose_headers=list(EXPOSED),
            max_age=600,
        ),
        openapi_config=None,
        logging_config=None,
    )
    open_doors(app)
    return Identified(Intended(Slashed(app), gateway))


@asynccontextmanager
async def open_gateway(config: Config, environ: Mapping[str, str], replicate: Replicate) -> AsyncIterator[Gateway]:
    """The parts, open, with their timers running. Raises ConfigError; closes all of them in the end."""
    async with AsyncExitStack() as opened:
        store = Store.open(config)
        opened.push_async_callback(store.aclose)
        upstream = Upstream(config.upstream, replicate.tokens, replicate.base_url)
        opened.push_async_callback(upstream.aclose)
        by_wire, patience = wire(config.upstream), patience_of(config.upstream)
        fetching = Fetching(config.outputs, replicate.base_url, by_wire, patience)
        opened.push_async_callback(fetching.aclose)
        schemas = Schemas(upstream, config.schemas, Shelf(store))
        opened.push_async_callback(schemas.aclose)
        journal = Journal(config.folder, uuid.uuid4().hex, config.state.when_down)
        opened.callback(journal.close)
        bells = Bells()
        lease = config.shared.lease_seconds if config.shared.redis else None
        ledger = Ledger(store, lease_seconds=lease, journal=journal)
        replicas = await _replicas(config, store, ledger, opened)
        gateway = Gateway(
            config=config,
            keys=Keys(store, away_seconds=BELIEVED_SECONDS if config.state.when_down == "allow" else 0.0),
            teams=Teams(store),
            audit=Audit(store),
            budgets=Budgets(store),
            pruning=Pruning(store),
            limits=Limits(config.limits, replicas.limiter if replicas else Paces(_place_seconds(config))),
            ledger=ledger,
            prices=Prices.shipped(),
            catalog=installed(),
            upstream=upstream,
            schemas=schemas,
            finding=Finding(upstream),
            waiting=Waiting(config.upstream, bells, _webhook(config, replicate)),
            outputs=Outputs(config, fetching, await _signing_key(config, environ, store)),
            webhooks=Webhooks(upstream, bells),
            intents=Intents(Replies(store, ledger.owner, config.intents.keep_hours * 3600), config.intents),
            objects=Objects(store),
            replicas=replicas,
        )
        join(gateway, bells)
        messenger = Messenger(client(config.upstream))
        opened.push_async_callback(messenger.aclose)
        opened.push_async_callback(_settled, gateway)
        async with _timers(gateway, Notices(store), messenger):
            yield gateway


async def _replicas(config: Config, store: Store, ledger: Ledger, opened: AsyncExitStack) -> Replicas | None:
    if not config.shared.redis:
        return None
    replicas = await Replicas.open(config, store, ledger, _place_seconds(config))
    opened.push_async_callback(replicas.aclose)
    return replicas


def _place_seconds(config: Config) -> float:
    return config.upstream.deadline_seconds + LEASE_MARGIN


async def _signing_key(config: Config, environ: Mapping[str, str], store: Store) -> bytes:
    """What signs links to outputs, the same in all gateways that share books."""
    if config.shared.redis and not environ.get("REPLIGATE_SECRET"):
        return await secret_of(store, "outputs")
    return signing_key(config.folder, environ)


async def _settled(gateway: Gateway) -> None:
    """What is being settled is, before the parts it needs are closed."""
    if gateway.settling:
        await asyncio.wait(gateway.settling, timeout=SETTLE_SECONDS)


def _webhook(config: Config, replicate: Replicate) -> str | None:
    """Where Replicate is to tell us of ends: it takes public HTTPS addresses only, a simulator here any."""
    public = config.server.public_url
    told = public.startswith("https://") or (
        public and urlsplit(replicate.base_url).hostname in {"127.0.0.1", "localhost", "::1"}
    )
    return f"{config.public_url}/webhooks/replicate" if told and config.upstream.webhooks else None


@asynccontextmanager
async def _timers(gateway: Gateway, notices: Notices, messenger: Messenger) -> AsyncIterator[None]:
    async def warm() -> float:
        await gateway.schemas.warm([row.ref for row in gateway.config.models.values()])
        return gateway.config.schemas.refresh_seconds

    async def tidy() -> float:
        await gateway.outputs.sweep()
        await gateway.intents.replies.sweep()
        await filing.sweep(gateway)
        await filming.sweep(gateway)
        return TIDY_SECONDS

    async def tell_operator() -> float:
        return await tell(gateway.config.budgets, notices, messenger)

    work: list[Callable[[], Awaitable[float]]] = [
        partial(post, gateway),
        partial(filming.watch, gateway),
        partial(carrying.watch, gateway),
    ]
    work += [warm, tidy, tell_operator]
    if gateway.replicas:
        work += gateway.replicas.timers
    tasks = [asyncio.create_task(_again(each)) for each in work]
    tasks.append(asyncio.create_task(_again(partial(recover, gateway), gateway.ended)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again(work: Callable[[], Awaitable[float]], sooner: asyncio.Event | None = None) -> None:
    """Does it again and again, after the seconds it gives, or as soon as it is told to."""
    told = sooner or asyncio.Event()
    while True:
        pause = RETRY_SECONDS
        try:
            pause = await work()
        except ApiError as error:
            log.warning("a timer's work failed", reason=error.message)
        except Exception as surprise:
            # A timer that died would not be missed until it was too late.
            log.error("a timer's work failed", exc_info=surprise)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await told.wait()
        told.clear()
