"""The settings: from `traceaudit.toml` or `[tool.traceaudit]`, then `TRACEAUDIT_*`, then options, each with its source.

Every key has one reader (:data:`_KEYS`), which takes what TOML gives and what a variable or an option gives as text.
What is wrong is said with its place: the file and the key, the variable, or the option.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any

from traceaudit import listeners
from traceaudit.audit import DEFAULT_REQUIRE, GRACE_NS, AuditSettings
from traceaudit.exchange import Severity
from traceaudit.exemptions import Exemption
from traceaudit.formats.context import Format
from traceaudit.rules import RULES, find, select

FILE = "traceaudit.toml"
PYPROJECT = "pyproject.toml"
PREFIX = "TRACEAUDIT_"
FAIL_ON = ("error", "warning", "note", "never")
MINT = ("missing", "never")
CAPTURE = ("env", "listeners", "redirect", "auto")
GATE = ("auto", "off")
TLS = ("auto", "decrypt", "pass")


class ConfigError(ValueError):
    """A setting is wrong; the message names its place and the remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the commands go by; addresses are kept as they were written."""

    db: Path = Path("audit.db")
    inbound: str = ""
    """`LISTEN:TARGET`; empty: not said."""
    outbound: str = "15001"
    """Where the explicit proxy listens. 15001 and 15006 are Istio's own ports."""
    upstreams: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    require: tuple[str, ...] = DEFAULT_REQUIRE
    mint: str = "missing"
    isolate: bool = False
    infer: bool = True
    gate: str = "auto"
    """Whether what the service sees is held for moments, so that what it does shows for which request."""
    gate_budget_ms: int = 20
    """How long each may be held for that."""
    grace_ms: int = GRACE_NS // 1_000_000
    select: tuple[str, ...] = ("ALL",)
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    fail_on: str | None = None
    """``None``: as the command has it (`error` for `check`, `never` elsewhere)."""
    redact: tuple[str, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    """Findings that do not count, each with a reason; in a file alone."""
    capture: str = "env"
    """How the service's calls are brought to the audit."""
    tls: str = "auto"
    """Whether calls over TLS are decrypted; `auto`: where Go can be told to trust the audit."""
    expect: tuple[str, ...] = ()
    """Upstreams whose absence makes a run inconclusive."""
    known_routes: tuple[str, ...] = ()
    """Routes of the service that are to see a request, like ``GET /orders/{id}``."""
    ready_timeout: float = 30.0
    """Seconds that a service may take until it listens."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The inspector's keys by what they do, several with commas between; the inspector knows which there are."""
    columns: tuple[str, ...] = ()
    """The columns of the inspector's list of exchanges; the inspector knows which there are. Empty: the usual ones."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each value came from: a file, a variable, an option, or `default`."""

    def audit_settings(self) -> AuditSettings:
        """What the core needs to know of them."""
        return AuditSettings(
            require=frozenset(self.require),
            rules=select(self.select, self.ignore),
            severities=self.severity,
            grace_ns=self.grace_ms * 1_000_000,
            infer=self.infer,
        )

    def as_json(self) -> dict[str, object]:
        """Every key and value in JSON's types."""
        return {key: _json(getattr(self, key)) for key in KEYS}


def load(
    options: Mapping[str, object],
    *,
    directory: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings as they hold here; options that are ``None`` or empty were not given. Raises ConfigError."""
    values: dict[str, object] = {}
    sources = dict.fromkeys(KEYS, "default")
    path, table = _file(directory or Path.cwd())
    for name, value in table.items():
        key = name.replace("-", "_")
        place = f"{path}: {name}"
        if key not in _KEYS or "_" in name:
            raise ConfigError(f"{place}: there is no such setting{_close(name, [_kebab(each) for each in KEYS])}")
        values[key], sources[key] = _read(key, value, place), str(path)
    for variable, text in (os.environ if environ is None else environ).items():
        if not variable.startswith(PREFIX):
            continue
        key = variable.removeprefix(PREFIX).lower()
        if key not in _KEYS:
            raise ConfigError(f"{variable}: there is no such setting{_close(key, KEYS, PREFIX, str.upper)}")
        values[key], sources[key] = _read(key, _from_text(key, text, variable), variable), variable
    for key, value in options.items():
        if value is None or value in ((), {}):
            continue
        option = _OPTIONS.get(key, f"--{_kebab(key)}")
        values[key], sources[key] = _read(key, value, option), option
    return Settings(**values, sources=sources)  # type: ignore[arg-type]  # _KEYS gives each its type


# --- where they are ---------------------------------------------------------------------------------------------------


def _file(directory: Path) -> tuple[Path, dict[str, object]]:
    """The nearest configuration from a directory up to its repository's root, and what it says."""
    for folder in (directory, *directory.parents):
        own, project = folder / FILE, folder / PYPROJECT
        if own.is_file():
            return own, _toml(own)
        if project.is_file():
            table = _toml(project).get("tool", {}).get("traceaudit")
            if table is not None:
                return project, table
        if (folder / ".git").exists():
            break
    return directory / FILE, {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


# --- what they may be -------------------------------------------------------------------------------------------------


def _read(key: str, value: object, place: str) -> object:
    try:
        return _KEYS[key](value)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{place}: {error.args[0]}") from error


def _from_text(key: str, text: str, variable: str) -> object:
    """A variable's text in the shape that TOML would give it."""
    if key == "exemptions":
        raise ConfigError(f"{variable}: exemptions stand in a file, {FILE} or {PYPROJECT}")
    match getattr(_DEFAULTS, key):
        case bool():
            switch = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
            if text.lower() not in switch:
                raise ConfigError(f"{variable}: {text!r} is neither true nor false")
            return switch[text.lower()]
        case tuple():
            return [part.strip() for part in text.split(",") if part.strip()]
        case Mapping():
            pairs = [part.partition("=") for part in text.split(",") if part.strip()]
            return {name.strip(): value.strip() for name, _, value in pairs}
        case int() | float():
            try:
                return float(text) if "." in text else int(text)
            except ValueError:
                raise ConfigError(f"{variable}: {text!r} is not a number") from None
        case _:
            return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")  # noqa: TRY004  (it is the user's input that is wrong)
    return value


def _path(value: object) -> Path:
    path = value if isinstance(value, Path) else Path(_text(value))
    if not path.name:
        raise ValueError(f"{str(value)!r} names no file")
    return path


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is not a list of texts")  # noqa: TRY004  (as above)
    # An option may be given once with commas, or several times.
    return tuple(part.strip() for each in value for part in _text(each).split(",") if part.strip())


def _table(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a table of names and texts")  # noqa: TRY004  (as above)
    return {_text(name): str(each) if isinstance(each, int) else _text(each) for name, each in value.items()}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004  (as above)
    if not 0 <= value < 86_400_000:
        raise ValueError(f"{value!r} is out of range: it must be at least 0 and less than a day")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004  (as above)
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(choices)}{_close(str(value), choices)}")
        return str(value)

    return read


def _families(value: object) -> tuple[str, ...]:
    known = [format_.value for format_ in Format if format_ is not Format.B3MULTI]
    named = _texts(value)
    for name in named:
        if name not in known:
            raise ValueError(f"{name!r} is no family of headers{_close(name, known)}; there are {', '.join(known)}")
    return named


def _selectors(value: object) -> tuple[str, ...]:
    named = _texts(value)
    select(named)
    return named


def _severities(value: object) -> dict[str, Severity]:
    table = _table(value)
    for code, severity in table.items():
        if find(code).code != code:
            raise ValueError(f"rules are named by their codes here: write {find(code).code} for {code!r}")
        _one_of(tuple(Severity))(severity)
    return {code: Severity(severity) for code, severity in table.items()}


def _inbound(value: object) -> str:
    listeners.inbound(_text(value))
    return _text(value)


def _outbound(value: object) -> str:
    text = str(value) if isinstance(value, int) else _text(value)
    listeners.proxy(text)
    return text


def _upstreams(value: object) -> dict[str, str]:
    table = _table(value)
    for name, text in table.items():
        listeners.upstream(name, text)
    return table


def _routes(value: object) -> dict[str, str]:
    table = {name.removeprefix("http://").rstrip("/"): text for name, text in _table(value).items()}
    for text in table.values():
        listeners.address(text)
    return table


def _hosts(value: object) -> tuple[str, ...]:
    """Names of upstreams, as the service calls them."""
    return tuple(each.removeprefix("http://").removeprefix("https://").rstrip("/") for each in _texts(value))


def _known_routes(value: object) -> tuple[str, ...]:
    routes = _texts(value)
    for route in routes:
        if "/" not in route:
            raise ValueError(f"{route!r} is no route: write it like 'GET /orders/{{id}}'")
    return routes


def _exemptions(value: object) -> tuple[Exemption, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("exemptions are tables of rules, edge, reason and perhaps until; they stand in a file")  # noqa: TRY004
    return tuple(_exemption(each) for each in value)


def _exemption(value: object) -> Exemption:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a table")  # noqa: TRY004  (as above)
    if unknown := set(value) - {"rules", "edge", "reason", "until"}:
        raise ValueError(f"{unknown.pop()!r} is no part of an exemption: there are rules, edge, reason and until")
    parts = {name: _text(value.get(name, "")).strip() for name in ("rules", "edge", "reason")}
    for name, text in parts.items():
        if not text:
            raise ValueError(f"an exemption needs {name}: {dict(value)!r}")
    select([parts["rules"]])
    until = value.get("until")
    if until is not None and type(until) is not date:
        raise ValueError(f"until is a date without quotes, like 2027-01-31, and not {until!r}")
    return Exemption(**parts, until=until)


_KEYS: Mapping[str, Callable[[object], object]] = {
    "db": _path,
    "inbound": _inbound,
    "outbound": _outbound,
    "upstreams": _upstreams,
    "routes": _routes,
    "require": _families,
    "mint": _one_of(MINT),
    "isolate": _switch,
    "infer": _switch,
    "gate": _one_of(GATE),
    "gate_budget_ms": lambda value: int(_number(value)),
    "grace_ms": lambda value: int(_number(value)),
    "select": _selectors,
    "ignore": _selectors,
    "severity": _severities,
    "fail_on": _one_of(FAIL_ON),
    "redact": _texts,
    "exemptions": _exemptions,
    "capture": _one_of(CAPTURE),
    "tls": _one_of(TLS),
    "expect": _hosts,
    "known_routes": _known_routes,
    "ready_timeout": lambda value: float(_number(value)),
    "keys": _table,
    "columns": _texts,
}
KEYS = tuple(_KEYS)
"""Every setting, as :class:`Settings` names it; a file writes `-` for `_`."""

_OPTIONS = {"upstreams": "--upstream", "routes": "--route", "known_routes": "--known-route"}
"""Options that are given once for each, and so named for one."""

_DEFAULTS = Settings()
assert tuple(each.name for each in fields(Settings))[:-1] == KEYS
assert all(find(rule.code) is rule for rule in RULES)


def _kebab(key: str) -> str:
    return key.replace("_", "-")


def _close(name: str, names: tuple[str, ...] | list[str], prefix: str = "", case: Callable[[str], str] = str) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {prefix}{case(close[0])}?" if close else ""


def _json(value: object) -> object:
    match value:
        case Path():
            return str(value)
        case tuple():
            return [str(each) for each in value]
        case Mapping():
            return {name: str(each) for name, each in value.items()}
        case _:
            return value
