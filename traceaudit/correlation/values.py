"""Finds values of a request that reappear in a call: an order's number, a session, whatever is too rare for chance.

Theory of operation. A *token* of a path, query or header counts if it has 32 bits at least, by how it looks, and is no
trace header's. Where exactly one of the requests that may have made a call brought such a token, and no call had it
before that request came (else it is the service's own, or somebody else's), the token speaks for that request. How far
it is to be trusted is learned from calls whose cause is proven; it is never proof, for values are shared: by a user's
requests, by a page's.

Requests are taken apart only when a call without identifiers asks, and are remembered as hashes. The bodies, where most
values are, are not seen.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from traceaudit.correlation.identifiers import Inbound
from traceaudit.exchange import Exchange
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
"""Tokens of calls that are remembered; the longest unseen are forgotten."""

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


@dataclass(frozen=True, slots=True)
class Match:
    """The request whose value reappears, how probable it is the cause, and where the value stood."""

    inbound: Inbound
    probability: float
    evidence: dict[str, object]


class Values:
    """The tokens of calls, and how often matches were right."""

    def __init__(self) -> None:
        self._called: OrderedDict[int, int] = OrderedDict()
        self._right, self._matches = _RIGHT, _MATCHES
        self._asked = False
        self._proven = 0

    def match(self, call: Exchange, candidates: Sequence[Inbound]) -> Match | None:
        """The one candidate that a value of the call speaks for; ``None``: none, or several."""
        self._asked = True
        found = self._found(call, candidates)
        if found is None:
            return None
        inbound, token, places = found
        place, brought = places[token], _tokens_of(inbound)[token]
        evidence: dict[str, object] = {"value_in": place, "value_from": brought}
        if place == brought == _PATH:  # What stands in a header may be a secret.
            evidence["value"] = _in_path(call, token)
        evidence["matches_right"] = round(self.trust, 4)
        return Match(inbound, self.trust, evidence)

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
            self._right += found[0] is cause

    @property
    def trust(self) -> float:
        """The probability that a match is right."""
        return min(MOST, self._right / self._matches)

    def _found(self, call: Exchange, candidates: Sequence[Inbound]) -> tuple[Inbound, int, dict[int, str]] | None:
        places = _tokens(call)
        found: dict[str, tuple[Inbound, int]] = {}
        for token in places:
            brought = [each for each in candidates if token in _tokens_of(each)]
            before_ns = self._called.get(token)
            if len(brought) == 1 and (before_ns is None or before_ns > brought[0].exchange.started_ns):
                found.setdefault(brought[0].id, (brought[0], token))
        for token in places:
            self._called.setdefault(token, call.started_ns)
            self._called.move_to_end(token)
        while len(self._called) > _REMEMBERED:
            self._called.popitem(last=False)
        return (*next(iter(found.values())), places) if len(found) == 1 else None


_PATH = "path"


def _tokens_of(inbound: Inbound) -> dict[int, str]:
    if inbound.tokens is None:
        inbound.tokens = _tokens(inbound.exchange)
    return inbound.tokens


def _tokens(exchange: Exchange) -> dict[int, str]:
    """The tokens of a request by their hashes, and where each stands."""
    found: dict[int, str] = {}
    for name, value in reversed(exchange.request_headers):
        lower = name.lower()
        if lower not in _ORDINARY and lower not in FORMAT_OF_HEADER and not lower.startswith(("sec-", ":")):
            for token in _distinctive(value):
                found[hash(token)] = lower
    for token in _distinctive(unquote(exchange.path, "latin-1")):
        found[hash(token)] = _PATH
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
