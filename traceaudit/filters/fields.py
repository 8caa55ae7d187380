"""The fields of the filter language: what each may be compared with, and how that is said in SQL.

A field speaks of exchanges, of findings, or of both. Of a finding it may also hold through one of the calls that it is
about; of an exchange, through a finding about it. Every SQL text here is a constant; values are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from traceaudit.exchange import Confidence, Direction, Method, Outcome, Severity
from traceaudit.filters import values
from traceaudit.formats import FORMAT_OF_HEADER
from traceaudit.formats.context import Format

EQUAL = (":", "=")
ORDER = (*EQUAL, "<", "<=", ">", ">=")

type Parameter = str | int | float
type Piece = tuple[str, list[Parameter]]
"""SQL and its parameters, one a question mark."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a field is compared with. ``latest_ns``: the moment that ``5m`` counts from."""

    op: str
    value: str
    quoted: bool
    latest_ns: int


type Builder = Callable[[Comparison], Piece]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``exchange`` None: it speaks of findings, and holds for an exchange that such a finding is about.
    ``finding`` None: it speaks of exchanges, and holds for a finding one of whose calls it holds for."""

    name: str
    about: str
    example: str
    exchange: Builder | None
    finding: Builder | None
    ops: tuple[str, ...] = EQUAL
    slow: bool = False
    """Whether it looks at each exchange's headers or outcomes."""


# --- how values become SQL --------------------------------------------------------------------------------------------


def _text(expression: str, *, whole: bool = False) -> Builder:
    def build(given: Comparison) -> Piece:
        return f"{expression} like ? escape '\\'", [values.pattern(given.value, whole=whole or given.op == "=")]

    return build


def _in(expression: str, chosen: list[str]) -> Piece:
    return f"{expression} in ({', '.join('?' * len(chosen))})" if chosen else "0", list(chosen)


def _word(expression: str, known: tuple[str, ...], *, ordered: bool = False) -> Builder:
    """One of several words, the least first if they are ordered."""

    def build(given: Comparison) -> Piece:
        named = values.words(given.value, known, several=given.op in EQUAL)
        chosen = values.compared(named[0], given.op, known) if ordered and given.op not in EQUAL else named
        return _in(expression, chosen)

    return build


def _number(expression: str, read: Callable[[str], int | float] = values.number) -> Builder:
    def build(given: Comparison) -> Piece:
        op = "=" if given.op in EQUAL else given.op
        return f"{expression} {op} ?", [read(given.value)]

    return build


def _status(given: Comparison) -> Piece:
    first, last = values.status_range(given.value)
    if given.op in EQUAL:
        return "exchanges.status between ? and ?", [first, last]
    return f"exchanges.status {given.op} ?", [last if given.op in (">", "<=") else first]


def _time(sql: str) -> Builder:
    return lambda given: (sql, [values.moment(given.value, given.latest_ns)])


def _code(given: Comparison) -> Piece:
    patterns = values.codes(given.value)
    return " or ".join(["findings.code like ?"] * len(patterns)), list(patterns)


def _header(side: str) -> Builder:
    sql = f"exists (select 1 from headers where headers.exchange_id = exchanges.id and headers.side = '{side}'"  # noqa: S608 -- one of two constants

    def build(given: Comparison) -> Piece:
        name, sign, value = given.value.partition("=")
        named = f"{sql} and headers.name like ? escape '\\'"
        parameters: list[Parameter] = [values.pattern(name, whole=True)]
        if sign:
            named += " and headers.value like ? escape '\\'"
            parameters.append(values.pattern(value, whole=given.op == "="))
        return f"{named})", parameters

    return build


def _header_of_finding(given: Comparison) -> Piece:
    if "=" in given.value:
        return through_occurrences(_header("request")(given))
    # A finding names its headers with commas between them.
    return (
        "', ' || findings.header || ',' like ? escape '\\'",
        [f"%, {values.pattern(given.value, whole=True)},%"],
    )


def _trace(given: Comparison) -> Piece:
    names = list(FORMAT_OF_HEADER)
    named, parameters = _in("lower(headers.name)", names)
    sql = "exists (select 1 from headers where headers.exchange_id = exchanges.id and headers.side = 'request'"
    return (
        f"{sql} and headers.value like ? escape '\\' and {named})",
        [values.pattern(given.value, whole=False), *parameters],
    )


_FORMATS = tuple(each.value for each in Format)
_OUTCOMES = tuple(each.value for each in Outcome)


def _outcome(given: Comparison) -> Piece:
    format_, sign, outcome = given.value.partition("=") if "=" in given.value else ("", "", given.value)
    words, parameters = _in("outcomes.outcome", values.words(outcome, _OUTCOMES, several=True))
    if sign:
        formats, more = _in("outcomes.format", values.words(format_, _FORMATS, several=True))
        words, parameters = f"{words} and {formats}", [*parameters, *more]
    return f"exists (select 1 from outcomes where outcomes.outbound_id = exchanges.id and {words})", parameters  # noqa: S608 -- constants


_CALLED = "edges.outbound_authority || ' ' || edges.outbound_route"


def _edge(given: Comparison) -> Piece:
    """``GET /checkout -> inventory GET /stock/{id}``, whole, in part, or with ``*``."""
    left, arrow, right = (part.strip() for part in given.value.replace("→", "->").partition("->"))
    whole = given.op == "="
    if not arrow:
        pattern = values.pattern(left, whole=whole)
        return f"edges.inbound_route || ' -> ' || {_CALLED} like ? escape '\\'", [pattern]
    sql = f"(edges.inbound_route like ? escape '\\' and ({_CALLED} like ? escape '\\'"
    parameters: list[Parameter] = [values.pattern(left, whole=whole), values.pattern(right, whole=whole)]
    authority, space, route = right.partition(" ")
    if space and "*" not in right:
        # As the inspector and the reports say it: `inventory GET /stock/{id}` for `inventory.default.svc:80 GET …`.
        sql += " or (edges.outbound_authority like ? escape '\\' and edges.outbound_route like ? escape '\\')"
        parameters += [values.pattern(authority + "*", whole=True), values.pattern(route, whole=whole)]
    return f"{sql}))", parameters


def _edge_of_exchange(given: Comparison) -> Piece:
    sql, parameters = _edge(given)
    edges = f"(select edges.id from edges where {sql})"  # noqa: S608 -- constants
    return (
        "(exists (select 1 from outcomes where outcomes.outbound_id = exchanges.id"  # noqa: S608 -- as above
        f" and outcomes.edge_id in {edges})"
        " or exists (select 1 from links join outcomes on outcomes.outbound_id = links.outbound_id"
        f" where links.inbound_id = exchanges.id and links.rank = 1 and outcomes.edge_id in {edges}))",
        [*parameters, *parameters],
    )


_LINK = "exists (select 1 from links where links.outbound_id = exchanges.id and links.rank = 1"
_SURE = {Confidence.AMBIGUOUS: (0.0, 0.95), Confidence.PROBABLE: (0.95, 0.999), Confidence.PROVEN: (0.999, 2.0)}
_CONFIDENCES = tuple(each.value for each in _SURE)


def _confidence(given: Comparison) -> Piece:
    (word, *more) = values.words(given.value, _CONFIDENCES, several=given.op in EQUAL)
    chosen = [word, *more] if given.op in EQUAL else values.compared(word, given.op, _CONFIDENCES)
    spans = [_SURE[Confidence(each)] for each in chosen]
    ranges = " or ".join(["links.probability >= ? and links.probability < ?"] * len(spans)) or "0"
    return f"{_LINK} and links.inbound_id is not null and ({ranges}))", [bound for span in spans for bound in span]


def _within_link(sql: Builder) -> Builder:
    def build(given: Comparison) -> Piece:
        inner, parameters = sql(given)
        return f"{_LINK} and {inner})", parameters

    return build


_STATES: Mapping[str, str] = {
    "uncaused": f"{_LINK} and links.inbound_id is null)",
    "undecided": "exchanges.direction = 'outbound'"
    " and not exists (select 1 from links where links.outbound_id = exchanges.id)",
    "error": "exchanges.error is not null",
    "open": "exchanges.ended_ns is null",
    "minted": "exchanges.minted not in ('', '[]')",
    "late": "exists (select 1 from links join exchanges as cause on cause.id = links.inbound_id"
    " where links.outbound_id = exchanges.id and links.rank = 1 and cause.ended_ns < exchanges.started_ns)",
    "faulty": "exchanges.id in (select outbound_id from finding_occurrences"
    " union select inbound_id from finding_occurrences where inbound_id is not null)",
    "marked": "exchanges.id in (select exchange_id from marks where exchange_id is not null)",
}


def _state(given: Comparison) -> Piece:
    named = values.words(given.value, tuple(_STATES), several=True)
    return " or ".join(f"({_STATES[each]})" for each in named), []


def _state_of_finding(given: Comparison) -> Piece:
    named = values.words(given.value, tuple(_STATES), several=True)
    own = "findings.id in (select finding_id from marks where finding_id is not null)"
    return " or ".join(own if each == "marked" else through_occurrences((_STATES[each], []))[0] for each in named), []


def _note(owner: str, column: str) -> Builder:
    def build(given: Comparison) -> Piece:
        sql = f"{owner} in (select {column} from marks where {column} is not null and note like ? escape '\\')"  # noqa: S608 -- constants
        return sql, [values.pattern(given.value, whole=given.op == "=")]

    return build


# --- from the one to the other ----------------------------------------------------------------------------------------


def through_occurrences(piece: Piece) -> Piece:
    """What holds for a finding if it holds for one of its calls."""
    sql, parameters = piece
    return (
        "exists (select 1 from finding_occurrences join exchanges on exchanges.id = finding_occurrences.outbound_id"  # noqa: S608 -- constants
        f" where finding_occurrences.finding_id = findings.id and ({sql}))",
        parameters,
    )


def through_findings(piece: Piece) -> Piece:
    """What holds for an exchange if it holds for a finding about it: the call, or the request that caused it."""
    sql, parameters = piece
    accused = f"from finding_occurrences where finding_id in (select findings.id from findings where {sql})"  # noqa: S608 -- constants
    return (
        f"exchanges.id in (select outbound_id {accused} union select inbound_id {accused} and inbound_id is not null)",
        [*parameters, *parameters],
    )


# --- the fields -------------------------------------------------------------------------------------------------------

_LINES = (
    "exchanges.method || ' ' || exchanges.path",
    "exchanges.method || ' ' || exchanges.authority || exchanges.path",
)
_PARTS = ("exchanges.authority || exchanges.path", "exchanges.method")


def _text_of_exchange(given: Comparison) -> Piece:
    """What the lists show of it. A text that can be in no more than a part of that is looked for in the parts, which
    takes half the time."""
    pattern = values.pattern(given.value, whole=False)
    within = _LINES if " " in given.value or "*" in given.value else _PARTS
    looked_at = (*within, "exchanges.id", "exchanges.error")
    return " or ".join(f"{each} like ? escape '\\'" for each in looked_at), [pattern] * len(looked_at)


_TEXT_OF_FINDING = (
    "findings.code || ' ' || findings.slug || ' ' || coalesce(findings.header, '') || ' '"
    " || coalesce(findings.message, '') || ' ' || coalesce(findings.expected, '') || ' '"
    " || coalesce(findings.observed, '') || ' ' || coalesce(findings.location, '') || ' '"
    f" || coalesce(edges.inbound_route || ' -> ' || {_CALLED}, '')"
)
_EDGE = "edges.inbound_route || ' ' || edges.outbound_authority || ' ' || edges.outbound_route"

TEXT = Field("", "any text: an exchange's first line, id and error; a finding's words", '"connection reset"',
             _text_of_exchange, _text(_TEXT_OF_FINDING))  # fmt: skip
"""What a term without a field means."""

_BY_NAME: list[Field] = [
    Field("code", "rule: its code, the beginning of it, or its slug", "code:TP001,WC", None, _code),
    Field("severity", "the finding's severity", "severity>=warning", None,
          _word("findings.severity", tuple(each.value for each in reversed(Severity)), ordered=True), ops=ORDER),
    Field("confidence", "the finding's class; of an exchange, its link's", "confidence>=probable", _confidence,
          _word("findings.confidence", _CONFIDENCES, ordered=True), ops=ORDER, slow=True),
    Field("probability", "from 0 to 1; of an exchange, its link's", "probability<0.9",
          _within_link(_number("links.probability")), _number("findings.probability"), ops=ORDER, slow=True),
    Field("occurrences", "how many calls a finding is about", "occurrences>100", None,
          _number("findings.occurrences"), ops=ORDER),
    Field("edge", "call edge: route -> upstream and route", 'edge:"* -> inventory*"', _edge_of_exchange, _edge,
          slow=True),
    Field("route", "method and path, the variable parts folded", 'route:"GET /orders/{id}"', _text("exchanges.route"),
          _text(_EDGE)),
    Field("upstream", "who was called", "upstream:inventory*",
          lambda given: (f"exchanges.direction = 'outbound' and {_text('exchanges.authority')(given)[0]}",
                         _text("exchanges.authority")(given)[1]), _text("edges.outbound_authority")),
    Field("method", "HTTP method", "method:POST",
          _text("exchanges.method", whole=True), None),
    Field("path", "path and query as sent", "path:*coupon*", _text("exchanges.path"), None),
    Field("status", "of the answer", "status>=500", _status, None, ops=ORDER),
    Field("took", "from the start to the end", "took>250ms",
          _number("exchanges.ended_ns - exchanges.started_ns", values.duration), None, ops=ORDER),
    Field("direction", "inbound or outbound", "direction:outbound",
          _word("exchanges.direction", tuple(each.value for each in Direction)), None),
    Field("header", "a request header, or NAME=VALUE; a finding's header", "header:x-request-id=*-17",
          _header("request"), _header_of_finding, slow=True),
    Field("response-header", "a response header, or NAME=VALUE", "response-header:server=envoy",
          _header("response"), None, slow=True),
    Field("trace", "a trace id or request id in any trace header", "trace:4bf92f3577b34da6", _trace, None, slow=True),
    Field("outcome", "what became of a format, or FORMAT=OUTCOME", "outcome:traceparent=dropped", _outcome, None,
          slow=True),
    Field("link", "how the cause was decided", "link:timing",
          _within_link(_word("links.method", tuple(each.value for each in Method))), None, slow=True),
    Field("cause", "the id of the request that caused it", "cause:i17",
          _within_link(_text("links.inbound_id", whole=True)), None, slow=True),
    Field("id", "an exchange's id", "id:o17", _text("exchanges.id", whole=True), None),
    Field("since", "from this time on: 5m before the end, a clock time, a day", "since:5m",
          _time("exchanges.started_ns >= ?"), _time("findings.last_ns >= ?")),
    Field("until", "up to this time", "until:10:00:44",
          _time("exchanges.started_ns <= ?"), _time("findings.first_ns <= ?")),
    Field("is", ", ".join(_STATES), "is:uncaused", _state, _state_of_finding, slow=True),
    Field("note", "a note that was made in the inspector", "note:ask*",
          _note("exchanges.id", "exchange_id"), _note("findings.id", "finding_id")),
]  # fmt: skip

FIELDS: Mapping[str, Field] = {field.name: field for field in _BY_NAME}
"""Every field by its name."""

ALIASES: Mapping[str, str] = {
    "rule": "code",
    "authority": "upstream",
    "host": "upstream",
    "duration": "took",
    "trace-id": "trace",
    "after": "since",
    "before": "until",
}
"""Other words that people try."""
