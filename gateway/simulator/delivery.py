"""The delivery host: the files that predictions made."""

import asyncio

from gateway.simulator.asgi import App, Receive, Scope, Send, end, respond, start
from gateway.simulator.outputs import Kept
from gateway.simulator.world import World

_GONE = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"


def delivery(world: World) -> App:
    """Serve the outputs of a world."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        kept = world.outputs.find(scope["path"])
        if kept is None:
            await respond(send, 404, _GONE, "application/xml")
        elif kept.status != 200:
            await respond(send, kept.status, _GONE, "application/xml")
        else:
            await _send(scope, send, kept)

    return serve


async def _send(scope: Scope, send: Send, kept: Kept) -> None:
    # Painting takes long enough to hold up other predictions, so it happens beside them.
    content = await asyncio.to_thread(kept.made.content)
    if scope["method"] == "HEAD":
        await start(send, 200, kept.made.media_type, [(b"content-length", str(len(content)).encode())])
        await end(send)
        return
    await respond(send, 200, content, kept.made.media_type, [(b"cache-control", b"public, max-age=3600")])
