"""What came in beside what went out: the propagation headers of a call and of the request that caused it.

Two columns, as long as an id fits into each of them whole; in less room the two values stand one under the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from traceaudit.exchange import Exchange
from traceaudit.reports import words
from traceaudit.reports.comparison import Pair, State, differing
from traceaudit.reports.layout import beside, fold, wrap
from traceaudit.safe import safe
from traceaudit.store.reader import HeaderRow

_INDENT = "    "
_SIGN = 3  # cells of the sign and the blanks before it
_RULE = "│ "
_WORD = len("both")
_WHOLE_ID = 36
"""Cells of a request id, and of a trace id with the version before it and the dashes."""
_LONGEST_NAME = len("x-datadog-sampling-priority*")

_STATES = {
    State.SAME: ("=", "green"),
    State.CHANGED: ("≠", "yellow"),
    State.DROPPED: ("✘", "red"),
    State.ADDED: ("+", "cyan"),
}


def lines(inbound: Exchange | None, outbound: Exchange, found: Sequence[Pair], width: int) -> Iterator[Text]:
    """The comparison in lines; ``inbound`` ``None``: what caused the call is not known."""
    came = f"came in: {words.request(inbound)} ({words.name(inbound.id)})" if inbound else "came in: not known"
    went = f"went out: {words.request(outbound)} ({words.name(outbound.id)})"
    names = min(_LONGEST_NAME, 1 + max((len(safe(pair.name, words.NAME_LIMIT)) for pair in found), default=0))
    half = (width - _SIGN - 1 - names - 1 - 1 - len(_RULE)) // 2
    marked = [(pair, inbound is not None and _is_minted(pair, inbound)) for pair in found]
    if half >= _WHOLE_ID:
        heads = [wrap(Text(head, "dim"), half, "", "  ") for head in (came, went)]
        yield from _halves([[], [], *heads], names, half)
        for pair, minted in marked:
            sides = [fold(value, half) for value in _values(pair)]
            yield from _halves([_sign(pair), _name(pair, names, minted=minted), *sides], names, half)
    else:
        for head in (came, went):
            yield from wrap(Text(head, "dim"), width, _INDENT)
        for pair, minted in marked:
            yield from _stacked(pair, names, width, minted=minted)
    if not found:
        yield from wrap(Text("neither side carries a propagation header", "dim"), width, _INDENT)
    if any(minted for _, minted in marked):
        note = "* (minted by traceaudit): the client sent none, so it was given as a sidecar gives it"
        yield from wrap(Text(note, "dim"), width, _INDENT)


def _is_minted(pair: Pair, inbound: Exchange) -> bool:
    """A ``tracestate`` is never minted; the client sent it."""
    return pair.carried is not None and pair.format in inbound.minted and pair.name.lower() != "tracestate"


def _halves(columns: list[list[Text]], names: int, half: int) -> list[Text]:
    """Sign, name and the two sides, with a rule between these on every line."""
    sign, name, left, right = columns
    rule = [Text(_RULE.rstrip(), "dim")] * max(len(name), len(left), len(right))
    return beside([sign, name, left, rule, right], (_SIGN, names, half, 1, half), " ")


def _stacked(pair: Pair, names: int, width: int, *, minted: bool) -> Iterator[Text]:
    carried, sent = _values(pair)
    room = max(16, width - _SIGN - names - _WORD - 3)
    sides = [("both", carried)] if pair.state is State.SAME else [("in", carried), ("out", sent)]
    for number, (word, value) in enumerate(sides):
        sign, name = ([], []) if number else (_sign(pair), _name(pair, names, minted=minted))
        yield from beside([sign, name, [Text(word, "dim")], fold(value, room)], (_SIGN, names, _WORD, room), " ")


def _sign(pair: Pair) -> list[Text]:
    sign, style = _STATES[pair.state]
    return [Text.assemble(" " * (_SIGN - 1), (sign, style))]


def _name(pair: Pair, width: int, *, minted: bool) -> list[Text]:
    _, style = _STATES[pair.state]
    shown = Text(safe(pair.name, words.NAME_LIMIT), "" if pair.state is State.SAME else style)
    return fold(Text.assemble(shown, ("*" if minted else "", "dim")), width)


def _values(pair: Pair) -> tuple[Text, Text]:
    return _value(pair, pair.carried, pair.sent), _value(pair, pair.sent, pair.carried)


def _value(pair: Pair, row: HeaderRow | None, other: HeaderRow | None) -> Text:
    if row is None:
        return Text("not sent", "dim italic")
    if row.redacted:
        return Text("not recorded", "dim italic")
    if not row.value:
        return Text("empty", "dim italic")
    limit = words.VALUE_LIMIT
    if other is None or pair.state is State.SAME or max(len(row.value), len(other.value)) > limit:
        return Text(safe(row.value, limit))
    _, style = _STATES[pair.state]
    pieces = differing(row.value, other.value)
    return Text.assemble(*((safe(piece), f"bold {style}" if differs else "") for piece, differs in pieces))
