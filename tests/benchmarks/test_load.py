"""No load lasts longer than it may, and what is cut off counts as slow, not as nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import load, peers
from benchmarks.load import Failed
from benchmarks.peers import Peer


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = Path(tmp_path_factory.mktemp("load"))
    with peers.upstream(folder) as origin, peers.direct(origin, folder) as peer:
        yield peer


async def test_who_has_not_answered_in_time_counts_as_long_as_it_was_waited_for(direct: Peer) -> None:
    targets = [direct.target("bench/wait-0"), direct.target("bench/wait-60000")]
    answers = await load.closed(targets, 1, 0.1, grace=0.1)
    assert [answer.cut for answer in answers] == [False, True]
    assert 0.1 < answers[-1].seconds < 30
    assert load.finished(answers) == 1


async def test_a_load_that_nobody_answers_has_failed(direct: Peer) -> None:
    began = time.monotonic()
    for work in (
        load.closed(direct.target("bench/wait-60000"), 2, 0.1, grace=0.1),
        load.steady(direct.target("bench/wait-60000"), 20, 0.1, grace=0.1),
        load.burst(direct.target("bench/wait-60000"), 2, limit=0.1),
    ):
        with pytest.raises(Failed, match="no answer within"):
            await work
    with pytest.raises(Failed, match="0 of 2 streams began"):
        async with load.begun(direct.target("bench/tokens-2-60000", stream=True), 2, 0.1):
            pass
    assert time.monotonic() - began < 30


async def test_what_is_no_answer_fails_with_its_own_words(direct: Peer) -> None:
    nowhere = load.Target(f"{direct.address}/nowhere", {}, {})
    with pytest.raises(Failed, match=r"404: .*no /v1/nowhere"):
        await load.closed(nowhere, 1, 0.1)


async def test_a_stream_tells_when_each_token_was_sent_and_heard(direct: Peer) -> None:
    (answer,) = await load.burst(direct.target("bench/tokens-5-2", stream=True), 1, streams=True)
    assert len(answer.heard) == len(answer.sent) == 5
    assert all(0 <= sent <= heard for sent, heard in zip(answer.sent, answer.heard, strict=True))
    assert len(load.gaps([answer])) == 4
