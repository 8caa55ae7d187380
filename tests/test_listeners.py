"""What a user writes for listeners and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceaudit import listeners
from traceaudit.listeners import Address, Kind, Listener

INBOUND = {
    "15006:8080": (("127.0.0.1", 15006), ("127.0.0.1", 8080)),
    "0:8080": (("127.0.0.1", 0), ("127.0.0.1", 8080)),
    "0.0.0.0:15006:8080": (("0.0.0.0", 15006), ("127.0.0.1", 8080)),
    "15006:localhost:8080": (("127.0.0.1", 15006), ("localhost", 8080)),
    "127.0.0.1:15006:10.0.0.7:80": (("127.0.0.1", 15006), ("10.0.0.7", 80)),
    "[::1]:15006:[fe80::1]:8080": (("::1", 15006), ("fe80::1", 8080)),
}


@pytest.mark.parametrize("text", INBOUND)
def test_an_inbound_listener_is_where_clients_call_and_where_the_service_listens(text: str) -> None:
    listen, target = INBOUND[text]
    assert listeners.inbound(text) == Listener(Kind.INBOUND, Address(*listen), Address(*target))


WRONG = {
    "8080": "is not LISTEN:TARGET",
    "": "is not LISTEN:TARGET",
    "a:b": "'b' is not a port",
    "15006:0": "the target's port cannot be 0",
    "15006:65536": "'65536' is not a port",
    "1:2:3:4:5": "is not LISTEN:TARGET",
    "::1:8080": "needs brackets",
    "15006:８０８０": "is not a port",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_listener_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]):
        listeners.inbound(text)


ADDRESSES = {
    "9001": Address("127.0.0.1", 9001),
    "localhost:9001": Address("localhost", 9001),
    "http://10.0.0.7:80/": Address("10.0.0.7", 80),
    "[::1]:9001": Address("::1", 9001),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_a_port_or_a_host_and_a_port(text: str) -> None:
    assert listeners.address(text) == ADDRESSES[text]


@given(st.builds(Address, st.sampled_from(["127.0.0.1", "localhost", "::1", "a.b.svc"]), st.integers(0, 65535)))
def test_an_address_reads_what_it_writes(address: Address) -> None:
    assert listeners.address(str(address)) == address


@given(st.text(max_size=30))
def test_no_text_makes_it_fail_but_with_words(text: str) -> None:
    for read in (listeners.address, listeners.inbound):
        try:
            read(text)
        except ValueError as error:
            assert str(error)


def test_an_upstream_needs_a_name() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        listeners.upstream("", "9101:9001")
