"""A model gets the adapter whose pattern fits it best, wherever that adapter came from."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.catalog import Catalog, installed, shipped
from adapters.chat import ChatAdapter
from adapters.images import ImageAdapter
from adapters.wire.replicate import ModelRef

VENDOR = """
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.tables import into

ONE = ChatAdapter(models=("vendor-tiny/*",), table={"temperature": into("heat")})
SEVERAL = (ChatAdapter(models=("meta/meta-llama-3-8b",), manner=Manner(prompts=("words",))),)
WRONG = "no adapter"
"""


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A third distribution, as an installer leaves it: a module, and metadata with entry points."""
    (tmp_path / "vendor_tiny.py").write_text(VENDOR)
    info = tmp_path / "vendor_tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor-tiny\nVersion: 1.0\n")
    points = "".join(f"{name.lower()} = vendor_tiny:{name}\n" for name in request.param)
    (info / "entry_points.txt").write_text(f"[repligate.adapters]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("vendor_tiny", None)


def test_the_most_specific_pattern_wins() -> None:
    wide, narrow, exact = (ChatAdapter(models=(glob,)) for glob in ("acme/*", "acme/chat-*", "acme/chat-b?"))
    catalog = Catalog([narrow, exact, wide])
    assert catalog.find(ChatAdapter, ModelRef("acme", "chat-7b")) is narrow
    assert catalog.find(ChatAdapter, ModelRef("acme", "chat-b7")) is exact
    assert catalog.find(ChatAdapter, ModelRef("acme", "other")) is wide
    assert catalog.find(ChatAdapter, ModelRef("other", "chat-7b")) == ChatAdapter()


def test_a_name_without_stars_beats_any_pattern() -> None:
    named, starred = ChatAdapter(models=("a/b",)), ChatAdapter(models=("a/b*",), thinking=True)
    assert Catalog([named, starred]).find(ChatAdapter, ModelRef("a", "b")) is named


def test_what_is_added_last_takes_over_among_equals() -> None:
    first, second = ChatAdapter(models=("a/*",)), ChatAdapter(models=("a/*",), thinking=True)
    assert Catalog([first, second]).find(ChatAdapter, ModelRef("a", "b")) is second


def test_kinds_do_not_mix() -> None:
    catalog = Catalog([ChatAdapter(models=("a/b",))])
    assert isinstance(catalog.find(ImageAdapter, ModelRef("a", "b")), ImageAdapter)


def test_a_bare_version_gets_the_plain_adapter() -> None:
    assert shipped().find(ChatAdapter, ModelRef(version="0" * 64)) == ChatAdapter()


def test_shipped_families_are_found() -> None:
    found = shipped().find(ChatAdapter, ModelRef("meta", "meta-llama-3-70b-instruct"))
    assert found.manner.template is not None
    assert found.manner.template.name == "llama-3"
    assert shipped().find(ChatAdapter, ModelRef("meta", "meta-llama-3-70b")).manner.base


@pytest.mark.parametrize("vendor", [("ONE", "SEVERAL")], indirect=True)
def test_an_installed_distribution_brings_adapters(vendor: Path) -> None:
    found = installed().find(ChatAdapter, ModelRef("vendor-tiny", "talker"))
    assert set(found.table) == {"temperature"}
    assert installed().find(ChatAdapter, ModelRef("meta", "meta-llama-3-8b")).manner.prompts == ("words",)
    assert shipped().find(ChatAdapter, ModelRef("vendor-tiny", "talker")) == ChatAdapter()


@pytest.mark.parametrize("vendor", [("WRONG",)], indirect=True)
def test_an_entry_point_that_is_no_adapter_is_named(vendor: Path) -> None:
    with pytest.raises(TypeError, match=r"'wrong' \(vendor_tiny:WRONG\)"):
        installed()
