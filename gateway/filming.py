"""Videos that outlive their request: their objects in the books, their predictions detached, their files kept here."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from adapters.errors import ApiError, InvalidRequest
from adapters.progress import MOST, progress_of
from adapters.videos import video_of
from adapters.wire.replicate import Prediction
from adapters.wire.videos import VideoError
from gateway.accounts.moments import unix
from gateway.accounts.virtualkeys import VirtualKey
from gateway.errors import NotFound, StoreError
from gateway.filing import owners
from gateway.parts import Gateway
from gateway.store.objects import Stored
from gateway.together import together
from gateway.upstream.fetching import Unsteady
from gateway.upstream.outputs import Kept, Opened

log = structlog.get_logger()

VIDEO = "video"
GOING = ("queued", "in_progress")
AT_ONCE = 8

BELIEVED_SECONDS, EVERY_SECONDS = 1.0, 10.0
"""How long what was seen of a prediction is believed by a client who asks, and by the timer: Replicate deletes files
after an hour, and the other gateways look, too."""


class Filmed(Struct, frozen=True, kw_only=True):
    """What is kept of a video beside its file. `seen` is when its prediction was last looked at."""

    prediction: str
    model: str
    prompt: str
    seconds: str
    size: str
    seen: float
    remixed_from: str | None = None
    progress: int = 0
    completed_at: int | None = None
    error: VideoError | None = None
    content_type: str = ""
    bytes: int = 0


def filmed(stored: Stored) -> Filmed:
    return msgspec.json.decode(stored.body, type=Filmed)


async def find(gateway: Gateway, key: VirtualKey, id: str, param: str = "video_id") -> Stored:
    """The video, if this key may see it. Raises NotFound."""
    if stored := await gateway.objects.get(VIDEO, id, owners(key)):
        return stored
    raise NotFound(f"No such Video object: {id[:100]}", param=param)


async def fresh(gateway: Gateway, stored: Stored, seconds: float = BELIEVED_SECONDS) -> Stored:
    """The video as it stands, looked at if that was not done for so many seconds; as it was last seen, where Replicate
    cannot be asked now. Raises NotFound for one that was deleted meanwhile."""
    if stored.status not in GOING or gateway.clock() - filmed(stored).seen < seconds:
        return stored
    if (looking := gateway.looking.get(stored.id)) is None:
        looking = gateway.looking[stored.id] = asyncio.create_task(_looked(gateway, stored))
        gateway.settling.add(looking)
        looking.add_done_callback(lambda done: _over(gateway, stored.id, done))
    # Shielded: a client that leaves must not stop what others wait for, and what keeps the file.
    return await asyncio.shield(looking)


async def opened(gateway: Gateway, stored: Stored, span: tuple[int, int] | None = None) -> Opened:
    """The video's bytes, or those of a span, on their way. Raises InvalidRequest for one that is not there yet."""
    if stored.status in GOING:
        raise InvalidRequest(
            f"The video {stored.id} is not ready yet: GET /v1/videos/{stored.id} tells how far it is.",
            param="video_id",
            code="video_not_ready",
        )
    if error := filmed(stored).error:
        raise InvalidRequest(f"There is no video: {error.message}", param="video_id", code=error.code)
    return await gateway.outputs.read(place(stored.id), span)


async def remove(gateway: Gateway, stored: Stored) -> None:
    """Deletes it; a prediction that still runs is cancelled first."""
    if stored.status in GOING:
        with suppress(NotFound):
            await gateway.upstream.cancel(filmed(stored).prediction)
    await _forget(gateway, [stored])
    gateway.ended.set()


async def watch(gateway: Gateway) -> float:
    """Looks at all that are being made, so that each file is kept though no client asks; gives the seconds until the
    next time. For a timer."""
    few = asyncio.Semaphore(AT_ONCE)

    async def look(stored: Stored) -> None:
        async with few:
            with suppress(NotFound):
                await fresh(gateway, stored, EVERY_SECONDS / 2)

    await together(*map(look, await gateway.objects.standing(VIDEO, GOING)))
    return EVERY_SECONDS


async def sweep(gateway: Gateway) -> None:
    """Deletes what has expired. For a timer."""
    while gone := await gateway.objects.expired(VIDEO):
        await _forget(gateway, gone)


def place(id: str) -> str:
    """Where in the store its bytes are: not among the outputs, which are swept by age and shown by links."""
    return f"videos/{id}"


async def _forget(gateway: Gateway, gone: Sequence[Stored]) -> None:
    """The objects first, so that nobody finds one without its bytes."""
    await gateway.objects.delete(*gone)
    await gateway.outputs.remove([place(each.id) for each in gone])


def _over(gateway: Gateway, id: str, done: asyncio.Task[Stored]) -> None:
    gateway.looking.pop(id, None)
    gateway.settling.discard(done)
    if not done.cancelled():
        done.exception()  # told to whoever waits; if nobody does, to nobody


async def _looked(gateway: Gateway, stored: Stored) -> Stored:
    told = replace(filmed(stored), seen=gateway.clock())
    try:
        prediction = await gateway.upstream.poll(told.prediction)
        if prediction.final:
            return await _ended(gateway, stored, told, prediction)
    except NotFound:
        gone = VideoError("not_found", "Replicate no longer knows this video's prediction.")
        return await _noted(gateway, stored, replace(told, error=gone), "failed")
    except StoreError:
        raise
    except ApiError as away:
        log.info("video not looked at", video=stored.id, prediction=told.prediction, reason=away.message)
        return stored
    runs = prediction.status == "processing"
    told = replace(told, progress=max(told.progress, progress_of(prediction.logs)) if runs else told.progress)
    return await _noted(gateway, stored, told, "in_progress" if runs else stored.status)


async def _ended(gateway: Gateway, stored: Stored, told: Filmed, prediction: Prediction) -> Stored:
    """Its file kept, or its failure noted. Raises Unsteady, StoreError where the file may be had the next time."""
    gateway.ended.set()
    try:
        kept = await gateway.outputs.keep(video_of(prediction, _private(gateway, told)), place(stored.id))
    except (Unsteady, StoreError):
        if stored.status != "in_progress":
            await _noted(gateway, stored, replace(told, progress=MOST), "in_progress")
        raise
    except ApiError as failed:
        error = VideoError(failed.code or failed.type, failed.message)
        return await _noted(gateway, stored, replace(told, error=error), "failed")
    return await _noted(gateway, stored, _made(told, prediction, kept), "completed")


def _made(told: Filmed, prediction: Prediction, kept: Kept) -> Filmed:
    plays = prediction.metrics.output_seconds if prediction.metrics else None
    return replace(
        told,
        progress=100,
        seconds=f"{plays:g}" if plays else told.seconds,
        completed_at=int(unix(prediction.completed_at) or told.seen),
        content_type=kept.content_type,
        bytes=len(kept.content),
    )


async def _noted(gateway: Gateway, stored: Stored, told: Filmed, status: str) -> Stored:
    """The object as it is now in the books: as told, unless another was faster. Raises NotFound once it is deleted."""
    body = msgspec.json.encode(told)
    expires = None if status in GOING else gateway.clock() + gateway.config.outputs.keep_hours * 3600
    if await gateway.objects.update(stored, body=body, status=status, expires=expires):
        return replace(stored, body=body, status=status, expires=expires)
    if now := await gateway.objects.get(VIDEO, stored.id, [stored.owner]):
        return now
    if status == "completed":
        await gateway.outputs.remove([place(stored.id)])
    raise NotFound(f"No such Video object: {stored.id}", param="video_id")


def _private(gateway: Gateway, told: Filmed) -> list[str]:
    """What a failure must not quote: the client's words, and the operator's."""
    row = gateway.config.row(told.model)
    own: list[Any] = [*row.defaults.values(), *row.fixed.values()] if row else []
    return [told.prompt, *(each for each in own if isinstance(each, str))]
