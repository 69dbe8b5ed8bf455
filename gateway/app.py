"""The one place where the parts are joined."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import structlog
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.types import ASGIApp

from adapters.catalog import installed
from adapters.errors import ApiError
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.accounts.limits import Limits
from gateway.accounts.prices import Prices
from gateway.api import chat, failures, health, images, models, outputs, webhooks
from gateway.api.identity import Identified
from gateway.api.replies import EXPOSED
from gateway.config import Config
from gateway.draining import SETTLE_SECONDS
from gateway.parts import Gateway, Replicate
from gateway.recovery import recover
from gateway.store.shelf import Shelf
from gateway.store.sql import Store
from gateway.upstream.client import Upstream
from gateway.upstream.fetching import Fetching
from gateway.upstream.outputs import Outputs, signing_key
from gateway.upstream.schemas import Schemas
from gateway.upstream.transport import client
from gateway.upstream.waiting import Waiting
from gateway.upstream.webhooks import Bells, Webhooks

log = structlog.get_logger()

LEASE_MARGIN = 60.0
"""Seconds for which a call may go on after its predictions' deadline: then its place is given to another."""

TIDY_SECONDS, RETRY_SECONDS = 600.0, 15.0

HANDLERS = (
    chat.create_chat_completion,
    images.create_image,
    models.list_models,
    models.get_model,
    outputs.get_output,
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
    return Identified(app)


@asynccontextmanager
async def open_gateway(config: Config, environ: Mapping[str, str], replicate: Replicate) -> AsyncIterator[Gateway]:
    """The parts, open, with their timers running. Raises ConfigError; closes all of them in the end."""
    async with AsyncExitStack() as opened:
        store = Store.open(config)
        opened.push_async_callback(store.aclose)
        upstream = Upstream(config.upstream, replicate.tokens, replicate.base_url)
        opened.push_async_callback(upstream.aclose)
        fetching = Fetching(config.outputs, replicate.base_url, client(config.upstream))
        opened.push_async_callback(fetching.aclose)
        schemas = Schemas(upstream, config.schemas, Shelf(store))
        opened.push_async_callback(schemas.aclose)
        bells = Bells()
        gateway = Gateway(
            config=config,
            keys=Keys(store),
            limits=Limits(config.limits, config.upstream.deadline_seconds + LEASE_MARGIN),
            ledger=Ledger(store),
            prices=Prices.shipped(),
            catalog=installed(),
            upstream=upstream,
            schemas=schemas,
            waiting=Waiting(config.upstream, bells, _webhook(config, replicate)),
            outputs=Outputs(config, fetching, signing_key(config.folder, environ)),
            webhooks=Webhooks(upstream, bells),
        )
        opened.push_async_callback(_settled, gateway)
        async with _timers(gateway):
            yield gateway


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
async def _timers(gateway: Gateway) -> AsyncIterator[None]:
    async def warm() -> float:
        await gateway.schemas.warm([row.ref for row in gateway.config.models.values()])
        return gateway.config.schemas.refresh_seconds

    async def tidy() -> float:
        await gateway.outputs.sweep()
        return TIDY_SECONDS

    tasks = [asyncio.create_task(_again(work)) for work in (partial(recover, gateway), warm, tidy)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again(work: Callable[[], Awaitable[float]]) -> None:
    """Does it again and again, after the seconds it gives."""
    while True:
        pause = RETRY_SECONDS
        try:
            pause = await work()
        except ApiError as error:
            log.warning("a timer's work failed", reason=error.message)
        except Exception as surprise:
            # A timer that died would not be missed until it was too late.
            log.error("a timer's work failed", exc_info=surprise)
        await asyncio.sleep(pause)
