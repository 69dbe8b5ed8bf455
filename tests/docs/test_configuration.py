"""Every setting stands, with its true default, in config.toml and in docs/configuration.md."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import Config
from gateway.loading import load, settings_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "config.toml").read_text("utf-8")
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
SETTINGS = dict(settings_of())
SECTIONS = {path: info for path, info in SETTINGS.items() if not path.startswith("models.")}
ROW = {path.removeprefix("models.NAME."): info for path, info in SETTINGS.items() if path.startswith("models.")}


def default_of(info: msgspec.structs.FieldInfo) -> Any:
    """As TOML would have it: lists for tuples."""
    value = info.default_factory() if info.default_factory is not msgspec.NODEFAULT else info.default
    return list(value) if isinstance(value, tuple) else value


def example_row() -> str:
    """The commented row of config.toml, as TOML."""
    lines = SHIPPED.partition("# [models.mine]\n")[2].partition("\n\n")[0].splitlines()
    return "[models.mine]\n" + "\n".join(line.removeprefix("# ") for line in lines)


def commented(key: str, text: str) -> bool:
    """Whether the lines above this key, up to an empty one, hold a comment."""
    return bool(re.search(rf"^# .+\n(?:[^#\n].*\n)*{re.escape(key)} = ", text, re.MULTILINE))


@pytest.mark.parametrize("path", SECTIONS)
def test_config_toml_has_the_key_with_its_default_and_a_comment(path: str) -> None:
    section, key = path.split(".")
    assert tomllib.loads(SHIPPED)[section][key] == default_of(SECTIONS[path])
    own = SHIPPED.partition(f"[{section}]\n")[2]
    assert re.search(rf"^# .+\n{key} = ", own, re.MULTILINE)


@pytest.mark.parametrize("key", ROW)
def test_config_toml_shows_every_key_of_a_model_row(key: str) -> None:
    assert commented(key, example_row())


def test_the_example_row_is_one_that_loads(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(example_row(), "utf-8")
    row = load(file, {}).models["mine"]
    unset = [key for key, info in ROW.items() if "." not in key and getattr(row, key) == default_of(info)]
    assert not unset
    assert row.price
    assert None not in msgspec.structs.astuple(row.price)


def test_the_shipped_settings_are_the_defaults_and_some_models(tmp_path: Path) -> None:
    shipped = load(ROOT / "config.toml", {"REPLIGATE_DATA_DIR": "data"})
    assert len(shipped.models) >= 14
    assert msgspec.structs.replace(shipped, models={}) == Config()


@pytest.mark.parametrize("path", SETTINGS)
def test_the_page_has_the_key_with_its_default(path: str) -> None:
    row = re.search(
        rf"^\| `{re.escape(path)}`( ↻)? \| (?P<default>[^|]+) \| (?P<meaning>.{{10,}}) \|$", PAGE, re.MULTILINE
    )
    assert row, f"docs/configuration.md has no row for {path}"
    info = SETTINGS[path]
    if info.required:
        assert row["default"] == "required"
    elif default_of(info) is None:
        assert row["default"] == "none"
    elif default_of(info) == {}:
        assert row["default"] == "`{}`"
    else:
        assert tomllib.loads(f"it = {row['default'].strip('`')}")["it"] == default_of(info)


def test_the_page_names_no_key_that_is_gone() -> None:
    named = set(re.findall(r"^\| `([a-zA-Z_.]+)`", PAGE, re.MULTILINE))
    assert named == set(SETTINGS)
