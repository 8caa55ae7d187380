"""Finds values of a request that reappear in a call: an order's number, a session, whatever is too rare for chance.

A value is a request's, too, that it was given by an upstream: the ``Location`` of what one call has made, and the next
call asks for.

Theory of operation. A *token* of a path, query or header counts if it has 32 bits at least, by how it looks, and is no
trace header's. Where exactly one of the requests that may have made a call brought such a token, and no call had it
before that request came (else it is the service's own, or somebody else's), the token speaks for that request. How far
it is to be trusted is learned from calls whose cause is proven; it is never proof, for values are shared: by a user's
requests, by a page's.

What stands in an answer's headers counts like that if no call had it before, and is the request's whose call was
answered, as far as that is known. Another answer that has it takes that back.

Requests are taken apart only when a call without identifiers asks, answers only once one has; both are remembered as
hashes. The bodies, where most values are, are not seen.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from traceaudit.correlation.identifiers import Inbound
from traceaudit.exchange import Exchange, Header
from traceaudit.formats import FORMAT_OF_HEADER

BITS = 32
"""Less could be chance among the thousands of values that there are."""

MOST = 0.99
"""The highest probability of a match; more would be proof."""

_RIGHT, _MATCHES = 24.0, 25.0
"""What is believed of matches before any could be checked: so many of so many were right."""

_CHECKED = 8
"""Every so-manieth call whose cause is proven is used to check; taking all apart would cost more than they tell."""

_REMEMBERED = 20_000
"""Tokens of calls that are remembered, and as many of answers; the longest unseen are forgotten."""

_OPEN = 4096
"""Calls that are not answered yet whose cause is remembered."""

_LIKELY = 0.8
"""The least probability of a call's cause by which what it is answered is taken for that request's."""

_LONGEST = 8192
"""Characters of a path or a header that are looked at."""

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{5,199}")
_HEX = re.compile(r"(?=.*\d)(?=.*[a-fA-F])[0-9a-fA-F-]+")

_ORDINARY = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection"),
        *("content-length", "content-type", "date", "dnt", "expect", "forwarded", "from", "grpc-timeout", "host"),
        *("http2-settings", "if-modified-since", "keep-alive", "origin", "pragma", "range", "referer", "te"),
        *("transfer-encoding", "upgrade", "user-agent", "via", "x-envoy-attempt-count", "x-forwarded-for"),
        *("x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
    }
)
"""Headers that tell of the client or the transport; no value of a request's own is passed on in them."""

_ORDINARY_IN_ANSWERS = _ORDINARY | {
    *("accept-ranges", "age", "allow", "alt-svc", "content-disposition", "content-encoding", "content-language"),
    *("content-security-policy", "expires", "last-modified", "nel", "proxy-authenticate", "report-to", "retry-after"),
    *("server", "server-timing", "strict-transport-security", "trailer", "vary", "www-authenticate"),
    *("x-envoy-upstream-service-time", "x-powered-by"),
}
"""Likewise of what upstreams answer."""


@dataclass(frozen=True, slots=True)
class Match:
    """The request whose value reappears, how probable it is the cause, and where the value stood."""

    inbound: Inbound
    probability: float
    evidence: dict[str, object]


class _Told(NamedTuple):
    """Where an answer had a token, and whose it is by that; ``None``: several requests', or it is not known whose."""

    inbound_id: str | None
    probability: float = 0.0
    place: str = ""


class _Found(NamedTuple):
    """A token of a call that one request alone had before, how sure that is, and where it stood and stands."""

    inbound: Inbound
    token: int
    probability: float
    brought_in: str
    place: str


class Values:
    """The tokens of calls and of answers, and how often matches were right."""

    def __init__(self) -> None:
        self._called: OrderedDict[int, int] = OrderedDict()
        self._told: OrderedDict[int, _Told] = OrderedDict()
        self._made: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """By call that is not answered yet, the request that has made it, and how probably."""
        self._right, self._matches = _RIGHT, _MATCHES
        self._asked = False
        self._proven = 0

    def match(self, call: Exchange, candidates: Sequence[Inbound]) -> Match | None:
        """The one candidate that a value of the call speaks for; ``None``: none, or several."""
        self._asked = True
        found = self._found(call, candidates)
        if found is None:
            return None
        evidence: dict[str, object] = {"value_in": found.place, "value_from": found.brought_in}
        if found.place == found.brought_in == _PATH:  # What stands in a header may be a secret.
            evidence["value"] = _in_path(call, found.token)
        probability = self.trust * found.probability
        evidence["matches_right"] = round(self.trust, 4)
        return Match(found.inbound, probability, evidence)

    def made(self, call: Exchange, inbound_id: str, probability: float) -> None:
        """A request has made a call, with this probability: what it is answered is that request's, too."""
        if self._asked and probability >= _LIKELY:
            self._made[call.id] = (inbound_id, probability)
            if len(self._made) > _OPEN:
                self._made.popitem(last=False)

    def answered(self, call: Exchange) -> None:
        """A call was answered."""
        if not self._asked:
            return
        inbound_id, probability = self._made.pop(call.id, (None, 0.0))
        for token, header in _in_headers(call.response_headers, _ORDINARY_IN_ANSWERS).items():
            if token in self._called:
                continue
            told = self._told.get(token)
            if told is None:
                self._told[token] = _Told(inbound_id, probability, f"{header} of the answer to {call.id}")
            elif told.inbound_id != inbound_id:
                self._told[token] = _Told(None)
            self._told.move_to_end(token)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def check(self, call: Exchange, cause: Inbound, present: Callable[[], Sequence[Inbound]]) -> None:
        """The cause of a call is proven: what would a match among those present have said?"""
        if not self._asked:
            return
        self._proven += 1
        if self._proven % _CHECKED:
            return
        candidates = present()
        if len(candidates) > 1 and (found := self._found(call, candidates)) is not None:
            self._matches += 1
            self._right += found.inbound is cause

    @property
    def trust(self) -> float:
        """The probability that a match is right."""
        return min(MOST, self._right / self._matches)

    def _found(self, call: Exchange, candidates: Sequence[Inbound]) -> _Found | None:
        places = _tokens(call)
        found: dict[str, _Found] = {}
        for token, place in places.items():
            one = self._owner(token, place, candidates)
            if one is None:
                continue
            other = found.get(one.inbound.id)
            if other is None or one.probability > other.probability:
                found[one.inbound.id] = one
        for token in places:
            self._called.setdefault(token, call.started_ns)
            self._called.move_to_end(token)
        while len(self._called) > _REMEMBERED:
            self._called.popitem(last=False)
        return next(iter(found.values())) if len(found) == 1 else None

    def _owner(self, token: int, place: str, candidates: Sequence[Inbound]) -> _Found | None:
        """The one of the candidates that had a token before any call had."""
        brought = [each for each in candidates if token in _tokens_of(each)]
        told = self._told.get(token, _Told(None))
        given = [each for each in candidates if each.id == told.inbound_id and each not in brought]
        if len(brought) + len(given) != 1:
            return None
        if given:
            return _Found(given[0], token, told.probability, told.place, place)
        before_ns = self._called.get(token)
        if before_ns is not None and before_ns <= brought[0].exchange.started_ns:
            return None
        return _Found(brought[0], token, 1.0, _tokens_of(brought[0])[token], place)


_PATH = "path"


def _tokens_of(inbound: Inbound) -> dict[int, str]:
    if inbound.tokens is None:
        inbound.tokens = _tokens(inbound.exchange)
    return inbound.tokens


def _tokens(exchange: Exchange) -> dict[int, str]:
    """The tokens of a request by their hashes, and where each stands."""
    found = _in_headers(exchange.request_headers, _ORDINARY)
    for token in _distinctive(unquote(exchange.path, "latin-1")):
        found[hash(token)] = _PATH
    return found


def _in_headers(headers: Sequence[Header], ordinary: frozenset[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, value in reversed(headers):
        lower = name.lower()
        if lower not in ordinary and lower not in FORMAT_OF_HEADER and not lower.startswith(("sec-", ":")):
            for token in _distinctive(value):
                found[hash(token)] = lower
    return found


def _in_path(exchange: Exchange, token: int) -> str:
    return next(each for each in _distinctive(unquote(exchange.path, "latin-1")) if hash(each) == token)


def _distinctive(text: str) -> list[str]:
    return [token for token in _TOKEN.findall(text[:_LONGEST]) if bits(token) >= BITS]


def bits(token: str) -> float:
    """How much a token tells, by how it looks: words are poor, digits and what mixes them with letters are rich."""
    digits = sum(character.isdigit() for character in token)
    letters = sum(character.isalpha() for character in token)
    if not letters:
        return 3.3 * digits
    if _HEX.fullmatch(token):
        return 4.0 * (digits + letters)
    if digits < 2:
        return 1.5 * letters
    return 3.3 * digits + (4.0 if digits * 3 >= letters else 1.5) * letters
