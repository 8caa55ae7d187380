"""W3C `baggage`: members in order, several lines as one list, and where a list is wrong."""

from __future__ import annotations

import pytest

from traceaudit.formats import Context, Fault, Format, Malformed, baggage


@pytest.mark.parametrize(
    ("lines", "members"),
    [
        (["userId=alice,serverNode=DF%2028,isProduction=false"],
         [("userId", "alice"), ("serverNode", "DF%2028"), ("isProduction", "false")]),
        (["userId =   alice", "serverNode = DF%2028, isProduction = false"],
         [("userId", "alice"), ("serverNode", "DF%2028"), ("isProduction", "false")]),
        (["key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue"],
         [("key1", "value1;property1;property2"), ("key2", "value2"), ("key3", "value3;propertyKey=propertyValue")]),
        (["a="], [("a", "")]),
        (["a=b=c==;p=x=y"], [("a", "b=c==;p=x=y")]),
        (["a=1;p=\t;q ,a=2"], [("a", "1;p=;q"), ("a", "2")]),
        (["!#$%&'*+-.^_`|~09AZaz=!#$&'()*+-./:<>?@[]^_`{|}~%00"],
         [("!#$%&'*+-.^_`|~09AZaz", "!#$&'()*+-./:<>?@[]^_`{|}~%00")]),
    ],
)  # fmt: skip
def test_valid_baggage_has_its_members_in_order(lines: list[str], members: list[tuple[str, str]]) -> None:
    assert baggage.parse(lines) == Context(Format.BAGGAGE, None, extra=tuple(members))


@pytest.mark.parametrize(
    ("lines", "position", "clause"),
    [
        (["a"], 1, "A member is a key, an equals sign and a value."),
        (["a=1,,b=2"], 4, "An empty member is not allowed."),
        (["a=1", ""], 4, "An empty member is not allowed."),
        (["a=1;"], 4, "An empty property is not allowed."),
        (["=1"], 0, "The key of a member is missing."),
        (["a=1; =2"], 5, "The key of a property is missing."),
        (["a b=1"], 1, "A key is a token, in which ' ' is not allowed."),
        (["a=1,b@c=2"], 5, "A key is a token, in which '@' is not allowed."),
        (["a=1;p q"], 5, "A key is a token, in which ' ' is not allowed."),
        (["a=1 2"], 3, "In a value, ' ' must be percent-encoded."),
        (['a="1"'], 2, "In a value, '\"' must be percent-encoded."),
        (["a=caf\xe9"], 5, "In a value, 'é' must be percent-encoded."),
        (["a=1;p=\\"], 6, "In a value, '\\\\' must be percent-encoded."),
        (["a=100%"], 5, "A percent sign that begins no %XX must itself be percent-encoded."),
        (["a=%2,b=0"], 2, "A percent sign that begins no %XX must itself be percent-encoded."),
        ([",".join(["a=1"] * 181)], 720, "A baggage string has at most 180 members."),
    ],
)
def test_malformed_baggage_is_wrong_at_its_first_wrong_character(lines: list[str], position: int, clause: str) -> None:
    fault = baggage.parse(lines)
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position, fault.clause) == ("baggage", ",".join(lines), position, clause)
    assert fault.fault is Fault.INVALID


def test_a_hundred_and_eighty_members_are_valid() -> None:
    assert isinstance(baggage.parse([",".join(["a=1"] * 180)]), Context)


def test_baggage_without_a_value_is_empty() -> None:
    fault = baggage.parse([" "])
    assert isinstance(fault, Malformed)
    assert fault.fault is Fault.EMPTY
