"""Recognises what a recording is by how it begins."""

from __future__ import annotations

import json
import re
from enum import StrEnum

HEAD = 64 * 1024
"""Bytes that are looked at; HAR files begin with their creator and their pages."""


class Source(StrEnum):
    """The recorded sources of exchanges."""

    EXCHANGE_LOG = "exchange log"
    HAR = "HAR file"
    ENVOY = "Envoy access log"
    FLOWS = "mitmproxy flow file"


_TNETSTRING = re.compile(rb"\d{1,9}:")
"""How mitmproxy writes a flow: its length, and what it holds. https://tnetstrings.info"""

_HAR = re.compile(rb'\{\s*"log"\s*:\s*\{')
_ENVOY_KEYS = frozenset({"start_time", "response_code", "upstream_cluster", "response_flags", "upstream_host"})


def recognise(head: bytes) -> Source:
    """The source that begins so; what is none of the others is taken for an exchange log, whose reader says why not."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _TNETSTRING.match(text):
        return Source.FLOWS
    if _HAR.match(text):
        return Source.HAR
    for line in text.splitlines():
        if not line.startswith(b"{"):
            continue  # A sidecar writes its own log among its access log.
        try:
            record = json.loads(line)
        except ValueError:
            break
        if isinstance(record, dict) and "started_ns" not in record and _ENVOY_KEYS & record.keys():
            return Source.ENVOY
        break
    return Source.EXCHANGE_LOG
