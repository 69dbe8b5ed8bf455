"""What the settings accept, what they refuse, and in which words."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.wire.replicate import ModelRef
from gateway.config import Config, ConfigError, Server
from gateway.loading import load
from gateway.tariffs import Price, Span, Tier

VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def written(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def refusal(path: Path | None, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load(path, environ or {})
    return str(refused.value)


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Config()


def test_an_empty_file_changes_nothing_but_where_the_data_folder_is_looked_for(file: Path) -> None:
    config = load(written(file, ""), {})
    assert config.folder == file.parent / "data"
    assert config.server == Server()


def test_what_the_file_says_holds(file: Path) -> None:
    config = load(
        written(file, '[server]\nport = 9000\ncors_origins = ["https://a.example"]\n[log]\nlevel = "debug"'), {}
    )
    assert (config.server.port, config.server.cors_origins, config.log.level) == (9000, ("https://a.example",), "debug")
    assert config.server.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "path", "nearest"),
    [
        ("[server]\nprot = 1", "server.prot", "'port'"),
        ("[sever]\nport = 1", "sever", "'server'"),
        ("[upstream]\nconnect_second = 1", "upstream.connect_second", "'connect_seconds'"),
        ('[models.mine]\nmodel = "a/b"\nalias = ["c"]', 'models."mine".alias', "'aliases'"),
        ('[models."my.model"]\nmodell = "a/b"', 'models."my.model".modell', "'model'"),
        ('[models.mine]\nmodel = "a/b"\nprice.per_imag = 1', 'models."mine".price.per_imag', "'per_image'"),
        (
            '[models.mine]\nmodel = "a/b"\nprice.tiers = [{ per_run = 1 }, { per_runn = 1 }]',
            'models."mine".price.tiers[1].per_runn',
            "'per_run'",
        ),
    ],
)
def test_a_misspelt_key_is_refused_with_its_path_and_the_nearest_key(
    file: Path, text: str, path: str, nearest: str
) -> None:
    assert refusal(written(file, text)) == f"{file}: {path}: no such key; did you mean {nearest}?"


def test_tiers_are_read_with_every_kind_of_criterion(file: Path) -> None:
    when = '{ with_audio = true, resolution_target = "2K", token_input_count = { above = 5 }, predict_time = 3 }'
    row = load(written(file, f'[models.mine]\nmodel = "a/b"\nprice.tiers = [{{ when = {when}, per_run = 1 }}]'), {})
    assert row.models["mine"].price == Price(
        tiers=(
            Tier(
                when={
                    "with_audio": True,
                    "resolution_target": "2K",
                    "token_input_count": Span(above=5),
                    "predict_time": 3,
                },
                per_run=1,
            ),
        )
    )


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("with_adio = true", "tiers[0].when.with_adio: no such metric; did you mean 'with_audio'?"),
        ("image_output_count = {}", "tiers[0].when.image_output_count: a span has `above`, `up_to` or both"),
        ("image_output_count = { upto = 1 }", "upto"),
    ],
)
def test_a_criterion_that_nothing_can_meet_is_refused(file: Path, when: str, says: str) -> None:
    row = f'[models.mine]\nmodel = "a/b"\nprice.tiers = [{{ when = {{ {when} }}, per_run = 1 }}]'
    refused = refusal(written(file, row))
    assert 'models."mine".price' in refused
    assert says in refused


def test_a_key_like_no_other_is_refused_with_all_there_are(file: Path) -> None:
    assert refusal(written(file, "[log]\nzzz = 1")) == f"{file}: log.zzz: no such key; there are format, level"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[server]\nport = "many"', "server.port: expected `int`, got `str`"),
        ("[server]\nport = [1]", "server.port"),
        ("[server]\nport = 1.5", "server.port"),
        ("[server]\nhost = 1", "server.host"),
        ('[upstream]\nwebhooks = "perhaps"', "upstream.webhooks"),
        ('[server]\ncors_origins = "everyone"', "server.cors_origins"),
        ('[log]\nlevel = "loud"', "log.level"),
        ("server = 1", "server"),
        ("models = 1", "models"),
        ("[models]\nmine = 1", 'models."mine"'),
        ('[models]\nmine = "a/b"', 'models."mine"'),
        ("[models.mine]\naliases = []", 'models."mine": object missing required field `model`'),
        ("[models.mine]\nmodel = 1", 'models."mine".model: expected `str`, got `int`'),
        ('[models.mine]\nmodel = "a/b"\nprice.per_image = "much"', 'models."mine".price.per_image: '),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_the_name_of_its_key(file: Path, text: str, says: str) -> None:
    message = refusal(written(file, text))
    assert message.startswith(f"{file}: ")
    assert says in message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "port", -1),
        ("server", "port", 65536),
        ("server", "max_body_mb", 0),
        ("server", "heartbeat_seconds", 0),
        ("server", "drain_seconds", -1),
        ("upstream", "connect_seconds", 0),
        ("upstream", "read_seconds", 0),
        ("upstream", "connections", 0),
        ("upstream", "requests_per_minute", 0),
        ("upstream", "retry_seconds", -1),
        ("upstream", "deadline_seconds", 4),
        ("upstream", "sync_wait_seconds", 61),
        ("upstream", "sync_wait_seconds", -1),
        ("schemas", "refresh_seconds", 0),
        ("schemas", "capacity", 0),
        ("outputs", "keep_hours", 0),
        ("outputs", "url_minutes", 0),
        ("outputs", "max_mb", 0),
    ],
)
def test_a_number_that_cannot_work_is_refused_by_the_name_of_its_key(
    file: Path, section: str, key: str, value: int
) -> None:
    assert f"{section}.{key}" in refusal(written(file, f"[{section}]\n{key} = {value}"))


def test_a_price_is_never_below_zero(file: Path) -> None:
    assert 'models."mine"' in refusal(written(file, '[models.mine]\nmodel = "a/b"\nprice.per_image = -0.1'))


def test_a_file_that_is_no_toml_is_refused_with_the_line(file: Path) -> None:
    assert re.match(rf"{re.escape(str(file))}: .*line 2", refusal(written(file, "[server]\nport = = 1\n")))


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    assert refusal(file).startswith(f"{file}: ")


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    assert refusal(file) == f"{file}: there is no such file"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path}: ")


def test_the_environment_wins_over_the_file(file: Path) -> None:
    environ = {
        "REPLIGATE__SERVER__PORT": "9001",
        "REPLIGATE__SERVER__HEARTBEAT_SECONDS": "2.5",
        "REPLIGATE__UPSTREAM__WEBHOOKS": "false",
        "REPLIGATE__LOG__LEVEL": "error",
    }
    config = load(written(file, '[server]\nport = 9000\nhost = "0.0.0.0"'), environ)
    assert (config.server.port, config.server.host, config.server.heartbeat_seconds) == (9001, "0.0.0.0", 2.5)
    assert (config.upstream.webhooks, config.log.level) == (False, "error")


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    config = load(None, {"REPLIGATE__OUTPUTS__HOSTS": "a.example, *.b.example"})
    assert config.outputs.hosts == ("a.example", "*.b.example")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("REPLIGATE__SERVER__PROT", "did you mean 'port'?"),
        ("REPLIGATE__SEVER__PORT", "did you mean 'server'?"),
        ("REPLIGATE__SERVER", "no such setting"),
        ("REPLIGATE__MODELS__MINE", "no such setting"),
    ],
)
def test_a_misspelt_variable_is_refused_by_its_name(name: str, says: str) -> None:
    message = refusal(None, {name: "1"})
    assert message.startswith(f"{name}: ")
    assert says in message


def test_a_variable_of_the_wrong_type_is_refused_by_its_key() -> None:
    assert "server.port" in refusal(None, {"REPLIGATE__SERVER__PORT": "many"})


def test_a_section_that_is_none_is_refused_even_where_the_environment_adds_to_it(file: Path) -> None:
    assert "server: " in refusal(written(file, "server = 1"), {"REPLIGATE__SERVER__PORT": "9000"})


def test_a_public_url_without_its_scheme_is_refused() -> None:
    assert "server.public_url: " in refusal(None, {"REPLIGATE__SERVER__PUBLIC_URL": "ai.example"})


def test_other_variables_are_none_of_our_business() -> None:
    assert load(None, {"REPLIGATEX__SERVER__PORT": "1", "REPLICATE_API_TOKEN": "r8_x"}) == Config()


def test_the_data_folder_is_looked_for_beside_the_file_that_names_it(file: Path) -> None:
    assert load(written(file, '[state]\nfolder = "books"'), {}).folder == file.parent / "books"


def test_a_data_folder_with_a_whole_path_is_taken_as_it_is(file: Path, tmp_path: Path) -> None:
    assert load(written(file, f'[state]\nfolder = "{tmp_path}/elsewhere"'), {}).folder == tmp_path / "elsewhere"


def test_a_data_folder_in_the_environment_wins_and_is_looked_for_from_here(file: Path) -> None:
    written(file, '[state]\nfolder = "books"')
    assert load(file, {"REPLIGATE__STATE__FOLDER": "there"}).folder == Path("there")
    both = {"REPLIGATE__STATE__FOLDER": "there", "REPLIGATE_DATA_DIR": "here"}
    assert load(file, both).folder == Path("here")


@pytest.mark.parametrize(
    "model",
    ["a/b", f"a/b:{VERSION}", VERSION, "deployments/a/b"],
)
def test_a_row_may_name_its_model_in_four_ways(file: Path, model: str) -> None:
    row = load(written(file, f'[models.mine]\nmodel = "{model}"'), {}).models["mine"]
    assert row.ref == ModelRef.parse(model)


@pytest.mark.parametrize("model", ["", "a", "a/b/c", "a/b:latest", "a b/c", "https://replicate.example/a/b"])
def test_a_row_whose_model_is_none_of_them_is_refused_by_its_path(file: Path, model: str) -> None:
    assert 'models."mine".model' in refusal(written(file, f'[models.mine]\nmodel = "{model}"'))


def test_two_rows_may_not_claim_one_name(file: Path) -> None:
    text = '[models.one]\nmodel = "a/b"\naliases = ["two"]\n[models.two]\nmodel = "a/c"'
    message = refusal(written(file, text))
    assert "'two'" in message
    assert 'models."one"' in message


def test_two_rows_may_be_about_one_model(file: Path) -> None:
    text = '[models.calm]\nmodel = "a/b"\n[models.wild]\nmodel = "a/b"\ndefaults = { temperature = 2 }'
    config = load(written(file, text), {})
    assert config.row("wild") is config.models["wild"]
    assert config.row("a/b") is config.models["calm"]


def test_a_row_answers_to_its_name_its_aliases_and_its_model(file: Path) -> None:
    config = load(written(file, '[models.mine]\nmodel = "a/b"\naliases = ["gpt-4o"]'), {})
    assert config.row("mine") is config.row("gpt-4o") is config.row("a/b") is config.models["mine"]
    assert config.row("other") is None


def test_an_alias_wins_over_another_rows_model(file: Path) -> None:
    text = '[models.one]\nmodel = "a/b"\n[models.two]\nmodel = "c/d"\naliases = ["a/b"]'
    assert load(written(file, text), {}).row("a/b") == load(file, {}).models["two"]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"REPLIGATE__SERVER__HOST": "0.0.0.0"}, "http://127.0.0.1:8000"),
        ({"REPLIGATE__SERVER__HOST": "::"}, "http://127.0.0.1:8000"),
        ({"REPLIGATE__SERVER__HOST": "::1"}, "http://[::1]:8000"),
        ({"REPLIGATE__SERVER__PUBLIC_URL": "https://ai.example/"}, "https://ai.example"),
    ],
)
def test_clients_are_told_an_address_they_can_reach(environ: dict[str, str], url: str) -> None:
    assert load(None, environ).public_url == url


def test_a_secret_is_named_in_the_file_and_taken_from_the_environment(file: Path) -> None:
    written(file, '[models.mine]\nmodel = "a/b"\nfixed = { openai_api_key = "${KEY}", style = "costs ${KEY}" }')
    row = load(file, {"KEY": "s3cret"}).models["mine"]
    assert row.fixed == {"openai_api_key": "s3cret", "style": "costs ${KEY}"}
    with pytest.raises(ConfigError, match=r"models\.mine\.fixed\.openai_api_key: KEY is not in the environment"):
        load(file, {})


def test_a_template_that_is_none_is_refused_at_once(file: Path) -> None:
    assert "there is no chat template 'lama'" in refusal(
        written(file, '[models.mine]\nmodel = "a/b"\ntemplate = "lama"')
    )
