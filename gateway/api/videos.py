"""/v1/videos: videos made in the background, from a prompt and perhaps a picture, or from another video."""

from contextlib import AsyncExitStack
from typing import Any, cast

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath
from litestar.response import Stream

from adapters.errors import Unsupported
from adapters.videos import VideoAdapter
from adapters.wire.base import Upload
from adapters.wire.files import Deleted
from adapters.wire.images import Picture
from adapters.wire.videos import ContentQuery, RemixRequest, Status, Video, VideoList, VideoRequest, VideosQuery
from gateway import filming
from gateway.api.dryrun import dry_run, wants_dry_run
from gateway.api.files import allowed, ends
from gateway.api.ranges import span_of
from gateway.api.replies import reply, told
from gateway.api.requests import Asked, asked, authenticated, decoded, gateway_of
from gateway.calls import Call, Caller
from gateway.filing import owner, owners, resolved
from gateway.filming import Filmed, filmed
from gateway.parts import Gateway
from gateway.store.objects import Listing, Stored

CREATES = "/v1/videos"


@post(CREATES, status_code=200)
async def create_video(request: Asked) -> Response[Any]:
    """Begins a video, which goes on without its client."""
    gateway, caller = gateway_of(request), await authenticated(request)
    order = await resolved(gateway, caller.key, await decoded(request, VideoRequest))
    if wants_dry_run(request):
        return await dry_run(gateway, caller, VideoAdapter, order)
    return await _begun(gateway, caller, order)


@get(CREATES, status_code=200)
async def list_videos(request: Asked) -> Response[Any]:
    """The videos that this key may see, page by page, as they were last seen."""
    gateway, key = gateway_of(request), await allowed(request)
    query = asked(request, VideosQuery)
    after = await filming.find(gateway, key, query.after, "after") if query.after else None
    wanted = Listing(
        kind=filming.VIDEO,
        owners=owners(key),
        oldest_first=query.order == "asc",
        limit=query.limit,
    )
    page = await gateway.objects.list(wanted, after)
    return reply(VideoList(data=tuple(map(shown, page.items)), **ends(page)))


@get("/v1/videos/{video_id:str}", status_code=200)
async def get_video(request: Asked, video_id: FromPath[str]) -> Response[Any]:
    """How far it is."""
    return reply(shown(await _found(request, video_id)))


@get("/v1/videos/{video_id:str}/content", status_code=200)
async def get_video_content(request: Asked, video_id: FromPath[str]) -> Stream:
    """Its bytes, or a range of them."""
    query, video = asked(request, ContentQuery), await _found(request, video_id)
    if query.variant != "video":
        raise Unsupported(f"This gateway makes no {query.variant} of a video.", param="variant")
    kept, tag = filmed(video), f'"{video.id}"'
    partly = kept.bytes and request.headers.get("if-range", tag) == tag
    span = span_of(request.headers.get("range"), kept.bytes) if partly else None
    content = await filming.opened(gateway_of(request), video, span)
    headers = {**content.headers, "accept-ranges": "bytes", "etag": tag}
    headers["content-length"] = str(span.end - span.start if span else content.size)
    if span:
        headers["content-range"] = span.told(kept.bytes)
    return Stream(content.content, media_type=kept.content_type, status_code=206 if span else 200, headers=headers)


@post("/v1/videos/{video_id:str}/remix", status_code=200)
async def remix_video(request: Asked, video_id: FromPath[str]) -> Response[Any]:
    """Begins a video made of this one, by the model that made it."""
    gateway, caller = gateway_of(request), await authenticated(request)
    order, source = await decoded(request, RemixRequest), await _found(request, video_id)
    content = b"".join([chunk async for chunk in (await filming.opened(gateway, source)).content])
    made = filmed(source)
    upload = Upload(f"{source.id}.mp4", made.content_type, content)
    wanted = VideoRequest(
        model=made.model, prompt=order.prompt, input_reference=Picture(upload=upload), extra=order.extra
    )
    caller = msgspec.structs.replace(caller, endpoint=CREATES)
    if wants_dry_run(request):
        return await dry_run(gateway, caller, VideoAdapter, wanted)
    return await _begun(gateway, caller, wanted, source.id)


@delete("/v1/videos/{video_id:str}", status_code=200)
async def delete_video(request: Asked, video_id: FromPath[str]) -> Response[Any]:
    """Deletes it, at once and for good; one that is being made is stopped."""
    gateway, key = gateway_of(request), await allowed(request)
    await filming.remove(gateway, await filming.find(gateway, key, video_id))
    return reply(Deleted(id=video_id, object="video.deleted"))


async def _found(request: Asked, id: str) -> Stored:
    gateway, key = gateway_of(request), await allowed(request)
    return await filming.fresh(gateway, await filming.find(gateway, key, id))


async def _begun(gateway: Gateway, caller: Caller, order: VideoRequest, source: str | None = None) -> Response[Any]:
    """The video's object, its prediction detached. A client that leaves meanwhile finds it in its list."""
    call = await Call.begin(gateway, caller, VideoAdapter, order, leave="detach")
    async with AsyncExitStack() as unless_kept:
        unless_kept.push_async_exit(call)
        video = await gateway.objects.put(_new(call, order, source))
        unless_kept.pop_all()
    await call.walk_away()
    return reply(shown(video), told(call))


def _new(call: Call[VideoRequest, VideoAdapter], order: VideoRequest, source: str | None) -> Stored:
    planned = call.adapter.planned(order, call.plan.model.schema, call.plan.prepared)
    told = Filmed(
        prediction=call.predictions[-1].id,
        model=call.name,
        prompt=order.prompt,
        seconds=planned.seconds,
        size=planned.size,
        seen=call.began,
        remixed_from=source,
    )
    return Stored(
        id=f"video_{call.id}",
        kind=filming.VIDEO,
        owner=owner(call.caller.key),
        body=msgspec.json.encode(told),
        status="queued",
        created=call.began,
    )


def shown(stored: Stored) -> Video:
    """A video as clients see it."""
    told = filmed(stored)
    return Video(
        id=stored.id,
        model=told.model,
        status=cast(Status, stored.status),
        progress=told.progress,
        created_at=int(stored.created),
        completed_at=told.completed_at,
        expires_at=None if stored.expires is None else int(stored.expires),
        prompt=told.prompt,
        seconds=told.seconds,
        size=told.size,
        remixed_from_video_id=told.remixed_from,
        error=told.error,
    )
