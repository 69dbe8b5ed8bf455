"""Gateways hear each other, and notice when they do not."""

import asyncio
from contextlib import suppress

from gateway.config import SharedConfig
from gateway.store.post import Post
from gateway.store.shared import Away, Shared
from tests.opened import holds
from tests.replicas.shared import Redis
from tests.replicas.test_shares import reached


async def test_a_line_that_broke_without_a_word_is_found_out_and_made_anew(own_store: Redis) -> None:
    config = SharedConfig(redis=own_store.url, patience_seconds=5)
    one, two = [await Shared.open(config, "test", name) for name in ("one", "two")]
    here, there, heard = Post(one, pulse=0.3), Post(two), list[tuple[str, bytes]]()
    here.on("word", lambda sender, content: heard.append((sender, content)))
    listening = asyncio.create_task(here.listen())
    await said(there, heard, b"first")
    await asyncio.sleep(1)
    assert not listening.done(), "a line that only has nothing to say is none that broke"
    own_store.freeze()
    async with asyncio.timeout(20):
        assert await listening > 0, "it gives the seconds until it is to be tried again"
    own_store.thaw()
    await reached(one)
    await reached(two)
    listening = asyncio.create_task(here.listen())
    await said(there, heard, b"second")
    assert {sender for sender, _ in heard} == {"two"}
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    for each in (one, two):
        await each.aclose()


async def said(post: Post, heard: list[tuple[str, bytes]], word: bytes) -> None:
    """Says it until it is heard: whoever does not listen yet hears nothing."""
    async with asyncio.timeout(20):
        while word not in [content for _, content in heard]:
            with suppress(Away):
                await post.tell("word", word)
            await asyncio.sleep(0.05)
    await holds(lambda: word in [content for _, content in heard])
