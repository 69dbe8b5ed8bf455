"""What became of responses in the background: noted once, and found out about where nobody carries them on any more."""

import asyncio

import msgspec
import structlog
from msgspec.structs import replace

from adapters.base import Prepared, Stamp
from adapters.errors import ApiError, PredictionFailed
from adapters.responding import failed
from adapters.responses import ResponseStream
from adapters.wire.replicate import Prediction
from adapters.wire.responded import Response
from adapters.wire.responses import Item
from gateway.errors import NotFound, StoreError
from gateway.parts import Gateway
from gateway.remembering import KIND, PREFIX, Kept, at_its_end, read
from gateway.store.objects import Stored

log = structlog.get_logger()

GOING = ("queued", "in_progress")

REMEMBERED_SECONDS = 60.0
"""How long the events of a response that is over are kept in memory, for those who were about to follow them."""

GONE = PredictionFailed("Replicate no longer knows the prediction of this response.")


async def fresh(gateway: Gateway, found: Stored) -> Stored:
    """The response as it stands. Where no gateway carries it on any more, its predictions are asked."""
    if found.status not in GOING or found.id in gateway.looking:
        return found
    task = gateway.looking[found.id] = asyncio.create_task(_looked(gateway, found))
    gateway.settling.add(task)
    task.add_done_callback(lambda done: over(gateway, found.id, done))
    # Shielded: a client that leaves must not stop what others wait for.
    return await asyncio.shield(task)


async def _looked(gateway: Gateway, found: Stored) -> Stored:
    """What became of a response whose gateway is no more: made of its prediction, once that is over and booked."""
    kept = read(found)
    try:
        predictions = [await gateway.upstream.poll(id) for id in kept.predictions]
        if not all(each.final for each in predictions):
            runs = any(each.status == "processing" for each in predictions)
            status = "in_progress" if runs else "queued"
            return (await noted(gateway, found, replace(kept.response, status=status)))[0]
        if await gateway.ledger.open_calls([found.id.removeprefix(PREFIX)]):
            gateway.ended.set()
            return found
        done = await _made(gateway, kept, predictions)
    except NotFound:
        done = failed(kept.response, GONE)
    except StoreError:
        raise
    except ApiError as away:
        log.info("response not looked at", response=found.id, reason=away.message)
        return found
    return (await noted(gateway, found, done))[0]


async def _made(gateway: Gateway, kept: Kept, predictions: list[Prediction]) -> Response:
    """The response that these predictions come to. Raises what says that it cannot be known now."""
    ended = [await gateway.waiting.finished(gateway.upstream.counted(), each) for each in predictions]
    response = kept.response
    stamp = Stamp(response.id, response.created_at, response.model)
    # Of what was asked, only the words are counted, and only where nobody else counted.
    words = "\n".join(part for item in kept.request.items for part in _words(item))
    request = replace(kept.request, input=words)
    try:
        whole = ResponseStream(request, stamp, Prepared(({},), reading=kept.reading)).whole(ended)
    except ApiError as wrong:
        log.info("response failed", response=response.id, code=wrong.code)
        # Its words may quote the operator's own, which nobody here remembers.
        return failed(response, PredictionFailed("The model failed, or answered in another form than was asked for."))
    return at_its_end(gateway, whole)


def _words(item: Item) -> list[str]:
    return [item.content] if isinstance(item.content, str) else [part.text or "" for part in item.parts]


async def noted(gateway: Gateway, found: Stored, response: Response) -> tuple[Stored, bool]:
    """The object with this response, and True; or as another has changed it meanwhile. An end is noted over whatever
    another saw of one that was going."""
    while response.status != found.status:
        body = msgspec.json.encode(replace(read(found), response=response))
        if await gateway.objects.update(found, body=body, status=response.status):
            return replace(found, body=body, status=response.status), True
        now = await gateway.objects.get(KIND, found.id, [found.owner])
        if now is None or now.status not in GOING or response.status in GOING:
            return now or found, False
        found = now
    return found, False


def over(gateway: Gateway, id: str, done: asyncio.Task[Stored]) -> None:
    """Forgets the task that made a response, or looked at one."""
    gateway.looking.pop(id, None)
    asyncio.get_running_loop().call_later(REMEMBERED_SECONDS, gateway.followed.pop, id, None)
    gateway.settling.discard(done)
    if not done.cancelled() and (wrong := done.exception()):
        log.warning("response not looked at", response=id, exc_info=wrong)
