"""`x-request-id`: any one value, with what Envoy reads from it."""

from __future__ import annotations

import uuid

import pytest

from traceaudit.formats import Context, Fault, Format, Malformed, request_id


@pytest.mark.parametrize(
    ("value", "extra"),
    [
        ("0d4b2c1e-1f2a-4c3b-9d8e-7f6a5b4c3d2e", {"uuid": "yes", "sampling": "none"}),
        ("0d4b2c1e-1f2a-9c3b-9d8e-7f6a5b4c3d2e", {"uuid": "yes", "sampling": "sampled"}),
        ("0d4b2c1e-1f2a-ac3b-9d8e-7f6a5b4c3d2e", {"uuid": "yes", "sampling": "service forced"}),
        ("0d4b2c1e-1f2a-bc3b-9d8e-7f6a5b4c3d2e", {"uuid": "yes", "sampling": "client forced"}),
        ("0D4B2C1E-1F2A-7C3B-9D8E-7F6A5B4C3D2E", {"uuid": "yes"}),
        ("0d4b2c1e-1f2a-4c3b-9d8e-7f6a5b4c3d2x", {"uuid": "no", "sampling": "none"}),
        ("0d4b2c1e-1f2a-xc3b-9d8e-7f6a5b4c3d2x", {"uuid": "no"}),
        ("0d4b2c1e1f2a4c3b9d8e7f6a5b4c3d2e", {"uuid": "no"}),
        ("req-17, again", {"uuid": "no"}),
    ],
)
def test_a_value_is_kept_as_sent_with_what_envoy_reads_from_it(value: str, extra: dict[str, str]) -> None:
    expected = Context(Format.REQUEST_ID, value, extra=tuple(extra.items()))
    assert request_id.parse([value]) == expected
    assert request_id.parse([f" {value}\t"]) == expected
    assert request_id.render(expected) == [("x-request-id", value)]


@pytest.mark.parametrize(
    ("values", "fault", "position"),
    [
        ([""], Fault.EMPTY, 0),
        (["  "], Fault.EMPTY, 0),
        (["a", "a"], Fault.DUPLICATED, 2),
        (["", ""], Fault.DUPLICATED, 1),
    ],
)
def test_only_an_empty_or_a_second_value_is_malformed(values: list[str], fault: Fault, position: int) -> None:
    found = request_id.parse(values)
    assert isinstance(found, Malformed)
    assert (found.fault, found.position) == (fault, position)


@pytest.mark.parametrize("octets", [bytes(16), b"\xff" * 16, bytes(range(16))])
def test_a_minted_id_is_a_uuid_of_version_4(octets: bytes) -> None:
    [(name, value)] = request_id.mint(lambda _: octets)
    assert name == "x-request-id"
    minted = uuid.UUID(value)
    assert (str(minted), minted.version, minted.variant) == (value, 4, uuid.RFC_4122)
