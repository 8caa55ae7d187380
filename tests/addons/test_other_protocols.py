"""What a client says first is known for HTTP, or for something else, as soon as it can be, however it is cut."""

from __future__ import annotations

import pytest

from traceaudit_addons.other_protocols import is_request

REQUESTS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /a%20b?c HTTP/1.0\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"PROPFIND /files HTTP/1.1\r\n",
    b"GET http://shop.test/ HTTP/1.1\r\n",
    b"CONNECT shop.test:443 HTTP/1.1\r\n",
    b"CONNECT shop HTTP/1.1\r\n",
    b"\r\nGET / HTTP/1.1\r\n",
    b"GET /a b HTTP/1.1\r\n",
]

OTHERS = [
    b"HELO shop.test\r\n",
    b"get key\r\n",
    b"set key 0 0 5\r\n",
    b"SET /a HTTP\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"SSH-2.0-Go\r\n",
    b"ruok",
    b"HELO host",
    b"PING",
    b"AMQP\x00\x00\x09\x01",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"GET me out of here\n",
]


@pytest.mark.parametrize("line", REQUESTS)
def test_a_request_line_is_known_and_never_taken_for_another_protocol(line: bytes) -> None:
    assert is_request(line + b"Host: a\r\n") is True
    if not line.startswith((b"PROPFIND", b"GET http:")):  # those are known by more than their beginning
        assert all(is_request(line[:length]) is not False for length in range(1, len(line)))


@pytest.mark.parametrize("begun", OTHERS)
def test_another_protocol_is_known_by_what_it_says_first(begun: bytes) -> None:
    assert is_request(begun) is False


@pytest.mark.parametrize("begun", [b"G", b"GE", b"GET", b"GET ", b"CONNECT", b"\r\n"])
def test_what_may_become_a_request_waits(begun: bytes) -> None:
    assert is_request(begun) is None
