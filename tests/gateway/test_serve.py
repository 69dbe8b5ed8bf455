"""A reload takes up what a running gateway can, and names what waits for a restart."""

import msgspec
from msgspec.structs import replace

from gateway.config import Config, LogConfig
from gateway.serve import reloaded

STARTED = Config()
RUNNING = replace(STARTED, server=replace(STARTED.server, port=43210))


def new(**sections: object) -> Config:
    return msgspec.convert(sections, Config)


def test_a_reload_of_what_is_in_force_changes_nothing_and_waits_for_nothing() -> None:
    assert reloaded(RUNNING, STARTED, new()) == (RUNNING, [])


def test_what_can_be_taken_up_is() -> None:
    told = new(
        server={"drain_seconds": 1.0},
        upstream={"any_model": False},
        log={"level": "debug"},
        models={"a": {"model": "b/c"}},
    )
    config, waiting = reloaded(RUNNING, STARTED, told)
    assert waiting == []
    assert (config.server.drain_seconds, config.upstream.any_model) == (1.0, False)
    assert config.log == LogConfig(level="debug")
    assert list(config.models) == ["a"]


def test_what_parts_were_opened_with_stays_and_is_named_at_every_reload() -> None:
    told = new(
        server={"port": 9, "public_url": "https://x.example"}, upstream={"deadline_seconds": 9}, state={"folder": "x"}
    )
    config, waiting = reloaded(RUNNING, STARTED, told)
    assert waiting == ["server.port", "server.public_url", "state.folder", "upstream.deadline_seconds"]
    assert config == RUNNING
    assert reloaded(config, STARTED, told) == (RUNNING, waiting)
