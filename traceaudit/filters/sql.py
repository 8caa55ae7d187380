"""Turns a filter's tree into SQL with parameters, over ``exchanges`` or over ``findings left join edges``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from traceaudit.filters import grammar
from traceaudit.filters.fields import (
    ALIASES,
    FIELDS,
    TEXT,
    Comparison,
    Field,
    Parameter,
    Piece,
    through_findings,
    through_occurrences,
)
from traceaudit.filters.grammar import All, Any, FilterError, Node, Not, Term
from traceaudit.filters.values import closest

type _Of = Callable[[Term, int], Piece]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition to stand after ``where`` or ``and``, in parentheses; ``parameters`` go in for its question marks."""

    sql: str
    parameters: tuple[Parameter, ...]

    def shown(self) -> str:
        """The condition with its values in it, to be read, or to be tried in another program."""
        # No SQL text of ours holds a question mark of another meaning; a value may.
        pieces = self.sql.split("?")
        values = [*(_literal(each) for each in self.parameters), ""]
        return "".join(part for pair in zip(pieces, values, strict=True) for part in pair)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that means something; made by :func:`parse`."""

    text: str
    node: Node

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return self.node != All(())

    @property
    def slow(self) -> bool:
        """Whether it looks at each exchange's headers, links or outcomes."""
        return any(_field(term).slow for term in _terms(self.node))

    def exchanges(self, latest_ns: int) -> Where:
        """For a query over ``exchanges``; ``latest_ns`` is the moment that ``since:5m`` counts from."""
        return _where(self.node, latest_ns, _of_exchange)

    def findings(self, latest_ns: int) -> Where:
        """For a query over ``findings left join edges``; ``latest_ns`` as above."""
        return _where(self.node, latest_ns, _of_finding)


def parse(text: str) -> Filter:
    """Reads a filter and tries every value in it. Raises FilterError, which says where it is wrong."""
    filter_ = Filter(text, grammar.read(text))
    for term in _terms(filter_.node):
        _of_exchange(term, 0)
        _of_finding(term, 0)
    return filter_


def pieces(text: str) -> list[tuple[str, str]]:
    """A filter's text in pieces, each with what it is: ``field``, ``value``, ``text`` or empty; for colouring."""
    marks: list[tuple[int, int, str]] = []
    for term in _terms(grammar.read(text)):
        marks += [
            (term.start, term.value_start, "field"),
            (term.value_start, term.end, "value" if term.field else "text"),
        ]
    found: list[tuple[str, str]] = []
    at = 0
    for start, end, kind in marks:
        found += [(text[at:start], ""), (text[start:end], kind)]
        at = end
    return [(part, kind) for part, kind in [*found, (text[at:], "")] if part]


def _terms(node: Node) -> Iterator[Term]:
    match node:
        case Term():
            yield node
        case Not():
            yield from _terms(node.node)
        case All() | Any():
            for each in node.nodes:
                yield from _terms(each)


def _field(term: Term) -> Field:
    if not term.field:
        return TEXT
    name = ALIASES.get(term.field, term.field)
    if name not in FIELDS:
        hint = closest(name, [*FIELDS, *ALIASES])
        raise FilterError(f"there is no field {name}{hint or '; put a text in quotes'}", term.start, term.value_start)
    return FIELDS[name]


def _compared(term: Term, latest_ns: int) -> tuple[Field, Comparison]:
    field = _field(term)
    op = "=" if term.op == "!=" else term.op
    if term.field and op not in field.ops:
        raise FilterError(f"{field.name} has no order: write : or = or !=", term.start, term.value_start)
    if not term.value:
        raise FilterError("there is nothing between these quotation marks", term.value_start, term.end)
    return field, Comparison(op, term.value, term.quoted, latest_ns)


def _of_exchange(term: Term, latest_ns: int) -> Piece:
    field, given = _compared(term, latest_ns)
    try:
        if field.exchange is not None:
            return field.exchange(given)
        assert field.finding is not None
        return through_findings(field.finding(given))
    except ValueError as error:
        raise FilterError(str(error), term.value_start, term.end) from error


def _of_finding(term: Term, latest_ns: int) -> Piece:
    field, given = _compared(term, latest_ns)
    try:
        if field.finding is not None:
            return field.finding(given)
        assert field.exchange is not None
        return through_occurrences(field.exchange(given))
    except ValueError as error:
        raise FilterError(str(error), term.value_start, term.end) from error


def _where(node: Node, latest_ns: int, of: _Of) -> Where:
    sql, parameters = _sql(node, latest_ns, of)
    return Where(f"({sql})", tuple(parameters))


def _sql(node: Node, latest_ns: int, of: _Of) -> Piece:
    match node:
        case Term():
            sql, parameters = of(node, latest_ns)
            # Where there is nothing to compare with (no answer yet, no end), a term does not hold; its contrary does.
            return (f"not coalesce(({sql}), 0)", parameters) if node.op == "!=" else (f"({sql})", parameters)
        case Not():
            sql, parameters = _sql(node.node, latest_ns, of)
            return f"not coalesce(({sql}), 0)", parameters
        case All() | Any():
            found = [_sql(each, latest_ns, of) for each in node.nodes]
            joined = (" and " if isinstance(node, All) else " or ").join(sql for sql, _ in found)
            return (f"({joined})" if found else "1"), [each for _, more in found for each in more]


def _literal(value: Parameter) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
