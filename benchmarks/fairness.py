"""What a batch does to somebody else's chat: a thousand pictures before 600 creates a minute, and a chat a second.

`python -m benchmarks.fairness [--pictures N] [--chats N] [--per-minute N]` runs all of it, with a simulator that
throttles, in one process.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import httpx
import openai

from gateway.app import create_app, open_gateway
from gateway.config import Config, State, UpstreamConfig
from gateway.parts import Replicate
from gateway.serving import Server, listening
from gateway.simulator import Settings, Simulator

PICTURE, TALKS = "sim/picture", "sim/echo"
SMALL: Literal["256x256"] = "256x256"
"""What is measured is the queue, not how fast the simulator paints."""
APART = 1.037
"""Seconds from chat to chat: no multiple of a slot, so that they come at all times between two creates."""


def main() -> None:
    """Prints how long chats wait without the batch, and beside it."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--pictures", type=int, default=1000)
    told.add_argument("--chats", type=int, default=30)
    told.add_argument("--per-minute", type=int, default=600)
    options = told.parse_args()
    settings = Settings(limits="normal", creates_per_minute=options.per_minute)
    with tempfile.TemporaryDirectory() as folder, Simulator(settings) as simulator:
        asyncio.run(_measured(Path(folder), simulator, options.pictures, options.chats))


async def _measured(folder: Path, simulator: Simulator, pictures: int, chats: int) -> None:
    pace = simulator.settings.creates_per_minute
    upstream = UpstreamConfig(creates_per_minute=pace, longest_wait_seconds=36_000)
    config = Config(state=State(folder=str(folder)), upstream=upstream)
    async with open_gateway(config, {}, Replicate(simulator.base_url, (simulator.token,))) as gateway:
        sock = listening("127.0.0.1", 0)
        server = Server(create_app(gateway), _at_once)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        red, blue = [
            openai.AsyncOpenAI(base_url=url, api_key=(await gateway.keys.create(name))[1], max_retries=0, timeout=600)
            for name in ("red", "blue")
        ]
        await _chat(blue)
        _tell("alone", [await _chat(blue) for _ in range(min(chats, pace // 4))])
        await _used_up(simulator)
        await _chat(blue)
        drawn = [red.images.generate(model=PICTURE, prompt=f"kite {one}", size=SMALL) for one in range(pictures)]
        batch = [asyncio.create_task(each) for each in drawn]
        turns = gateway.upstream.turns
        for _ in range(600):
            if turns.waiting > pictures * 0.9:
                break
            await asyncio.sleep(0.1)
        print(f"{pictures} pictures asked for: {turns.waiting} creates wait, for {turns.waiting * 60 / pace:.0f} s")
        beside: list[tuple[float, float]] = []
        while len(beside) < chats and turns.waiting:
            beside.append(await _chat(blue))
            await asyncio.sleep(APART)
        _tell("beside the batch", beside)
        for each in batch:
            each.cancel()
        await asyncio.gather(*batch, return_exceptions=True)
        await asyncio.gather(red.close(), blue.close())
        while left := [call.settled.wait() for call in gateway.running]:
            await asyncio.gather(*left)
        server.should_exit = True
        await serving


async def _used_up(simulator: Simulator) -> None:
    """Another program has used what the account may create at once; creates on no model cost it as much as others."""
    headers = {"authorization": f"Bearer {simulator.token}"}
    async with httpx.AsyncClient(base_url=simulator.base_url, headers=headers, timeout=30) as other:
        while (await other.post("/models/sim/nothing/predictions", json={})).status_code != 429:
            pass


async def _chat(api: openai.AsyncOpenAI) -> tuple[float, float]:
    """How many milliseconds a chat waited for its turn, and how many it took."""
    began = time.perf_counter()
    reply = await api.chat.completions.with_raw_response.create(
        model=TALKS, messages=[{"role": "user", "content": "Hello there"}]
    )
    return float(reply.headers.get("x-repligate-wait-ms", 0)), (time.perf_counter() - began) * 1000


def _tell(where: str, chats: Sequence[tuple[float, float]]) -> None:
    waited, took = zip(*chats, strict=True)
    print(
        f"{len(chats)} {where}: waited {statistics.median(waited):.0f} ms (median), {max(waited):.0f} ms at most; "
        f"took {statistics.median(took):.0f} ms (median), {max(took):.0f} ms at most"
    )


async def _at_once() -> None: ...


if __name__ == "__main__":
    main()
