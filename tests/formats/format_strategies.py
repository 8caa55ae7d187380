"""Header values of all kinds: valid and canonical, nearly valid, and anything at all."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from traceaudit.formats import FORMAT_OF_HEADER

type Fields = list[tuple[str, str]]

BYTES_AS_TEXT = st.binary(max_size=200).map(lambda octets: octets.decode("latin-1"))
ANY_TEXT = st.one_of(st.text(max_size=120), BYTES_AS_TEXT)


def hex_ids(width: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**width - 1).map(lambda number: f"{number:0{width}x}")


TRACE_IDS = st.one_of(hex_ids(16), hex_ids(32))
SPAN_IDS = hex_ids(16)

_VALUE_CHARACTERS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
TRACESTATE_MEMBERS = st.builds(
    "{}={}".format,
    st.from_regex(r"[a-z0-9][a-z0-9_\-*/@]{0,20}", fullmatch=True),
    st.text(_VALUE_CHARACTERS, min_size=1, max_size=30).filter(lambda value: not value.endswith(" ")),
)
TRACESTATES = st.lists(TRACESTATE_MEMBERS, min_size=1, max_size=32).map(",".join)

_PAIRS = st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,8}=([!#-$&-+\--:<-\[\]-~]|%[0-9A-F]{2}){0,8}", fullmatch=True)
BAGGAGE_MEMBERS = st.builds(
    lambda pair, properties: ";".join([pair, *properties]),
    _PAIRS,
    st.lists(st.one_of(_PAIRS, st.from_regex(r"[a-zA-Z0-9]{1,8}", fullmatch=True)), max_size=3),
)


@st.composite
def traceparents(draw: st.DrawFn) -> Fields:
    version = draw(st.one_of(st.just("00"), st.integers(1, 254).map(lambda number: f"{number:02x}")))
    rest = "" if version == "00" else draw(st.one_of(st.just(""), st.from_regex(r"-[!-~]{0,20}", fullmatch=True)))
    value = f"{version}-{draw(hex_ids(32))}-{draw(SPAN_IDS)}-{draw(st.integers(0, 255)):02x}{rest}"
    state = draw(st.one_of(st.none(), TRACESTATES))
    return [("traceparent", value), *([("tracestate", state)] if state is not None else [])]


@st.composite
def single_b3s(draw: st.DrawFn) -> Fields:
    state = draw(st.sampled_from(["", "0", "1", "d"]))
    if state and draw(st.booleans()):
        return [("b3", state)]
    fields = [draw(TRACE_IDS), draw(SPAN_IDS)]
    if state:
        fields += [state, *([draw(SPAN_IDS)] if draw(st.booleans()) else [])]
    return [("b3", "-".join(fields))]


@st.composite
def multi_b3s(draw: st.DrawFn) -> Fields:
    fields: Fields = []
    if draw(st.booleans()):
        fields += [("x-b3-traceid", draw(TRACE_IDS)), ("x-b3-spanid", draw(SPAN_IDS))]
        if draw(st.booleans()):
            fields.append(("x-b3-parentspanid", draw(SPAN_IDS)))
    if sampled := draw(st.sampled_from(["", "0", "1", "true", "false"])):
        fields.append(("x-b3-sampled", sampled))
    if (flags := draw(st.sampled_from(["", "0", "1", "7", "on"]))) or not fields:
        fields.append(("x-b3-flags", flags or "0"))
    return fields


@st.composite
def datadogs(draw: st.DrawFn) -> Fields:
    fields: Fields = []
    if draw(st.booleans()):
        numbers = st.integers(1, 2**64 - 1).map(str)
        fields += [("x-datadog-trace-id", draw(numbers)), ("x-datadog-parent-id", draw(numbers))]
    fields.append(("x-datadog-sampling-priority", str(draw(st.integers(-1, 2)))))
    if draw(st.booleans()):
        fields.append(("x-datadog-origin", draw(st.sampled_from(["rum", "synthetics"]))))
    if draw(st.booleans()):
        fields.append(("x-datadog-tags", f"_dd.p.dm=-1,_dd.p.tid={draw(hex_ids(16))}"))
    return fields


@st.composite
def cloud_traces(draw: st.DrawFn) -> Fields:
    span = draw(st.one_of(st.just(""), st.integers(0, 2**64 - 1).map("/{}".format)))
    return [("x-cloud-trace-context", f"{draw(hex_ids(32))}{span}{draw(st.sampled_from(['', ';o=0', ';o=1']))}")]


@st.composite
def grpc_traces(draw: st.DrawFn) -> Fields:
    octets = b"\0\0" + bytes.fromhex(draw(hex_ids(32))) + b"\1" + bytes.fromhex(draw(SPAN_IDS))
    octets += draw(st.sampled_from([b"", b"\2\0", b"\2\1", b"\2\1\3later"]))
    return [("grpc-trace-bin", base64.b64encode(octets).decode().rstrip("="))]


@st.composite
def sw8s(draw: st.DrawFn) -> Fields:
    texts = [draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)) for _ in range(6)]
    encoded = [base64.b64encode(text.encode()).decode() for text in texts]
    numbers = draw(st.sampled_from("01")), str(draw(st.integers(0, 2**31 - 1)))
    return [("sw8", "-".join([numbers[0], *encoded[:2], numbers[1], *encoded[2:]]))]


@st.composite
def amazons(draw: st.DrawFn) -> Fields:
    pairs = [f"Root=1-{draw(st.integers(0, 2**32 - 1)):08x}-{draw(hex_ids(24))}"]
    pairs += draw(st.lists(st.sampled_from(["Parent=53995c3f42cd8ad8", "Sampled=1", "Sampled=?", "Lineage=a:1"])))
    return [("x-amzn-trace-id", ";".join(draw(st.permutations(pairs))))]


CANONICAL: dict[str, st.SearchStrategy[Fields]] = {
    "traceparent": traceparents(),
    "b3": single_b3s(),
    "b3multi": multi_b3s(),
    "x-request-id": st.one_of(st.uuids().map(str), st.from_regex(r"[!-~]{1,40}", fullmatch=True)).map(
        lambda value: [("x-request-id", value)]
    ),
    "baggage": st.lists(BAGGAGE_MEMBERS, min_size=1, max_size=8).map(lambda found: [("baggage", ",".join(found))]),
    "uber-trace-id": st.builds(
        "{}:{}:{}:{:x}".format, TRACE_IDS, SPAN_IDS, SPAN_IDS | st.just("0"), st.integers(0, 255)
    ).map(lambda value: [("uber-trace-id", value)]),
    "x-datadog": datadogs(),
    "x-cloud-trace-context": cloud_traces(),
    "grpc-trace-bin": grpc_traces(),
    "x-ot-span-context": st.from_regex(r"[!-~]{1,60}", fullmatch=True).map(
        lambda value: [("x-ot-span-context", value)]
    ),
    "sw8": sw8s(),
    "x-amzn-trace-id": amazons(),
}
"""Valid headers of each format, by its public name, as a tracer writes them."""


@st.composite
def damaged(draw: st.DrawFn, *formats: str) -> Fields:
    """A valid set of headers, of some formats or any, with one value cut, stretched or changed in one place."""
    fields = draw(st.one_of(*(CANONICAL[name] for name in formats or CANONICAL)))
    index = draw(st.integers(0, len(fields) - 1))
    name, value = fields[index]
    at, length = draw(st.integers(0, len(value))), draw(st.integers(0, 2))
    changed = value[:at] + draw(st.text(max_size=2)) + value[at + length :]
    return [*fields[:index], (name, changed), *fields[index + 1 :]]


@st.composite
def in_any_case(draw: st.DrawFn, name: str) -> str:
    return draw(st.sampled_from([name, name.upper(), name.title()]))


@st.composite
def header_lists(draw: st.DrawFn) -> Fields:
    """The header fields of a request: formats whole, damaged or nonsense, in any order, some lines twice."""
    anything = st.tuples(st.sampled_from(sorted(FORMAT_OF_HEADER)), ANY_TEXT).map(lambda field: [field])
    others = st.just([("host", "inventory"), ("accept", "*/*")])
    groups = draw(st.lists(st.one_of(*CANONICAL.values(), damaged(), anything, others), max_size=5))
    fields = [(draw(in_any_case(name)), value) for group in groups for name, value in group]
    return draw(st.permutations(fields))
