"""Settings: where they come from, which wins, and what is said of wrong ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.live import traceaudit
from traceaudit.config import KEYS, ConfigError, Settings, load
from traceaudit.exchange import Severity


def settings(tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None, **options: object) -> Settings:
    (tmp_path / ".git").mkdir(exist_ok=True)
    if toml:
        (tmp_path / "traceaudit.toml").write_text(toml, encoding="utf-8")
    return load(options, directory=tmp_path, environ=environ or {})


def test_an_option_wins_over_a_variable_over_a_file_over_the_default(tmp_path: Path) -> None:
    toml = 'db = "file.db"\ninbound = "1:2"\nmint = "never"'
    got = settings(tmp_path, toml, {"TRACEAUDIT_DB": "variable.db", "TRACEAUDIT_INBOUND": "3:4"}, db=Path("option.db"))
    assert (got.db, got.inbound, got.mint, got.outbound) == (Path("option.db"), "3:4", "never", "15001")
    assert {key: got.sources[key] for key in ("db", "inbound", "mint", "outbound")} == {
        "db": "--db",
        "inbound": "TRACEAUDIT_INBOUND",
        "mint": str(tmp_path / "traceaudit.toml"),
        "outbound": "default",
    }


def test_the_nearest_file_up_to_the_root_of_the_repository_counts(tmp_path: Path) -> None:
    (tmp_path / "traceaudit.toml").write_text('db = "outside.db"')
    repository = tmp_path / "repository"
    inner = repository / "cmd" / "shop"
    inner.mkdir(parents=True)
    (repository / ".git").mkdir()
    assert load({}, directory=inner, environ={}).db == Path("audit.db")
    (repository / "pyproject.toml").write_text('[tool.traceaudit]\ndb = "project.db"')
    assert load({}, directory=inner, environ={}).db == Path("project.db")
    (repository / "traceaudit.toml").write_text('db = "own.db"')
    assert load({}, directory=inner, environ={}).db == Path("own.db")


VALUES = {
    "require": ('["traceparent", "baggage"]', "traceparent, baggage", ("traceparent", "baggage")),
    "isolate": ("true", "yes", True),
    "grace-ms": ("50", "50", 50),
    "ready-timeout": ("2.5", "2.5", 2.5),
    "ignore": ('["TP005", "WC"]', "TP005,WC", ("TP005", "WC")),
    "routes": ('{ "http://pricing/" = "9002", inventory = "h:1" }', "pricing=9002,inventory=h:1",
               {"pricing": "9002", "inventory": "h:1"}),
    "upstreams": ('{ inventory = "9101:9001" }', "inventory=9101:9001", {"inventory": "9101:9001"}),
    "severity": ('{ TP001 = "note" }', "TP001=note", {"TP001": Severity.NOTE}),
    "fail-on": ('"warning"', "warning", "warning"),
    "outbound": ("15001", "15001", "15001"),
    "redact": ('["X-Session"]', "X-Session", ("X-Session",)),
}  # fmt: skip


@pytest.mark.parametrize("key", VALUES)
def test_a_value_is_read_alike_from_a_file_and_a_variable(key: str, tmp_path: Path) -> None:
    toml, text, value = VALUES[key]
    name = key.replace("-", "_")
    assert getattr(settings(tmp_path, f"{key} = {toml}"), name) == value
    (tmp_path / "traceaudit.toml").unlink()
    assert getattr(settings(tmp_path, environ={f"TRACEAUDIT_{name.upper()}": text}), name) == value


WRONG = {
    'inbond = "1:2"': r"traceaudit\.toml: inbond: there is no such setting: did you mean inbound\?",
    "grace_ms = 1": r"grace_ms: there is no such setting: did you mean grace-ms\?",
    'inbound = "8080"': r"inbound: '8080' is not LISTEN:TARGET",
    "inbound = 8080": r"inbound: 8080 is not a text",
    'require = ["tracparent"]': r"require: 'tracparent' is no family of headers: did you mean traceparent\?",
    'require = "traceparent"': r"require: 'traceparent' is not a list of texts",
    'mint = "always"': r"mint: 'always' is not one of missing, never",
    'isolate = "yes"': r"isolate: 'yes' is neither true nor false",
    "grace-ms = -1": r"grace-ms: -1 is out of range",
    'select = ["TP9"]': r"select: unknown selector 'TP9'",
    'severity = { TP001 = "fatal" }': r"severity: 'fatal' is not one of error, warning, note",
    'severity = { TP99 = "note" }': r"severity: unknown rule 'TP99'",
    'severity = { traceparent-dropped = "note" }': r"write TP001 for 'traceparent-dropped'",
    'routes = { pricing = "host:port" }': r"routes: .*'port' is not a port",
    'db = ""': r"db: '' names no file",
    "inbound = ": r"traceaudit\.toml is not TOML: ",
}


@pytest.mark.parametrize("toml", WRONG)
def test_a_wrong_setting_is_named_with_its_place(toml: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        settings(tmp_path, toml)
    assert re.search(WRONG[toml], str(wrong.value))
    assert str(tmp_path / "traceaudit.toml") in str(wrong.value)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="TRACEAUDIT_INBOND: there is no such setting: did you mean TRACEAUDIT_INBOUND"
    ):
        settings(tmp_path, environ={"TRACEAUDIT_INBOND": "1:2"})
    with pytest.raises(ConfigError, match="TRACEAUDIT_ISOLATE: 'maybe' is neither true nor false"):
        settings(tmp_path, environ={"TRACEAUDIT_ISOLATE": "maybe"})


@pytest.mark.parametrize(
    ("key", "value", "option"),
    [
        ("upstreams", {"a": "x"}, "--upstream"),
        ("routes", {"a": "h:p"}, "--route"),
        ("known_routes", ("x",), "--known-route"),
    ],
)
def test_an_option_that_is_given_once_for_each_goes_by_its_own_name(
    key: str, value: object, option: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^{option}: "):
        settings(tmp_path, **{key: value})


def test_what_the_core_needs_follows_from_them(tmp_path: Path) -> None:
    got = settings(tmp_path, 'require = ["b3"]\nselect = ["TP"]\nignore = ["TP01"]\ngrace-ms = 20').audit_settings()
    assert got.require == {"b3"}
    assert got.grace_ns == 20_000_000
    assert {rule.code for rule in got.rules} == {f"TP00{n}" for n in range(1, 8)} | {"TP021", "TP022"}


def test_the_command_shows_every_value_with_its_source(tmp_path: Path) -> None:
    (tmp_path / "traceaudit.toml").write_text('inbound = "15006:8080"')
    shown = traceaudit("config", cwd=tmp_path).stdout
    assert re.search(r'^inbound +"15006:8080" +# .*traceaudit\.toml$', shown, re.MULTILINE)
    assert re.search(r'^db +"audit\.db" +# default$', shown, re.MULTILINE)
    assert len(shown.splitlines()) == len(KEYS)


def test_the_command_has_a_form_for_machines(tmp_path: Path) -> None:
    (tmp_path / "traceaudit.toml").write_text('severity = { TP001 = "note" }')
    shown = json.loads(traceaudit("config", "--format", "json", cwd=tmp_path).stdout)
    assert list(shown) == list(KEYS)
    assert shown["severity"] == {"value": {"TP001": "note"}, "source": str(tmp_path / "traceaudit.toml")}
    assert shown["db"] == {"value": "audit.db", "source": "default"}


def test_the_command_ends_with_status_2_where_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "traceaudit.toml").write_text('inbond = "15006:8080"')
    done = traceaudit("config", cwd=tmp_path, check=2)
    assert (done.stdout, "did you mean inbound?" in done.stderr) == ("", True)
