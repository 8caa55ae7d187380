"""Reads mitmproxy's flow files (`mitmdump -w`), each HTTP flow as an exchange."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import BinaryIO

from mitmproxy.exceptions import FlowReadException
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader
from mitmproxy.proxy.mode_specs import ReverseMode

from traceaudit.capture.exchange_log import BadLine
from traceaudit.exchange import Direction, Exchange
from traceaudit_addons.minting import headers_of


def read(file: BinaryIO, direction: Direction | None) -> Iterator[Exchange | BadLine]:
    """Every HTTP flow's exchange; where the file breaks off, its end is told of.

    ``direction`` ``None``: what came through a reverse proxy is inbound, and all else is outbound.
    """
    number = 0
    try:
        for flow in FlowReader(file).stream():
            number += 1
            if isinstance(flow, HTTPFlow):
                yield _exchange(flow, direction)
    except (FlowReadException, ValueError, TypeError, KeyError, AttributeError) as error:
        yield BadLine(number + 1, f"flow {number + 1} cannot be read, nor what follows: {error}")


def _exchange(flow: HTTPFlow, direction: Direction | None) -> Exchange:
    request, response = flow.request, flow.response
    if direction is None:
        reverse = isinstance(flow.client_conn.proxy_mode, ReverseMode)
        direction = Direction.INBOUND if reverse else Direction.OUTBOUND
    authority = request.data.authority.decode("latin-1") or next(
        (value.decode("latin-1") for name, value in request.headers.fields if name.lower() == b"host"), ""
    )
    ended_s = response.timestamp_end if response is not None else flow.error.timestamp if flow.error else None
    return Exchange(
        id=f"{direction.value[0]}{flow.id}",
        direction=direction,
        started_ns=_ns(request.timestamp_start),
        method=request.data.method.decode("latin-1"),
        scheme=request.data.scheme.decode("latin-1"),
        authority=authority or f"{request.data.host}:{request.data.port}",
        path=request.data.path.decode("latin-1"),
        http_version=request.data.http_version.decode("latin-1"),
        request_headers=headers_of(request.headers.fields),
        response_started_ns=_ns(response.timestamp_start) if response is not None else None,
        ended_ns=_ns(ended_s) if ended_s is not None else None,
        status=response.status_code if response is not None else None,
        error=flow.error.msg if flow.error else None,
        connection_id=flow.client_conn.id[:8],
        response_headers=headers_of(response.headers.fields) if response is not None else [],
    )


def _ns(seconds: float) -> int:
    """Seconds since the epoch in nanoseconds, by the shortest decimal that the number stands for."""
    return int(Decimal(repr(seconds)) * 1_000_000_000)
