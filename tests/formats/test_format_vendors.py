"""The vendors' headers: what is valid, and where exactly the rest is wrong."""

from __future__ import annotations

import base64

import pytest

from traceaudit.formats import FORMAT_OF_HEADER, Context, Fault, Format, Malformed, read, render

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
DECIMAL_SPAN = str(int(SPAN, 16))

GRPC = bytes([0, 0, *bytes.fromhex(TRACE), 1, *bytes.fromhex(SPAN), 2, 1])
LIGHTSTEP = bytes([0x12, 20, 0x09, *range(1, 9), 0x11, *range(2, 10), 0x18, 1])


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def sw8(*, sample: str = "1", trace: str = "trace.1", segment: str = "segment.2", span: str = "3") -> str:
    texts = [encoded(text.encode()) for text in (trace, segment, "shop", "shop-0", "GET:/", "inventory:80")]
    return "-".join([sample, texts[0], texts[1], span, *texts[2:]])


ROOT = f"Root=1-{TRACE[:8]}-{TRACE[8:]}"

VALID = [
    ("uber-trace-id", f"{TRACE}:{SPAN}:0:1",
     Context(Format.UBER, TRACE, SPAN, sampled=True, extra=(("flags", "1"),))),
    ("uber-trace-id", "AB1:2:3:0",
     Context(Format.UBER, "0000000000000ab1", "0000000000000002", "0000000000000003", sampled=False,
             extra=(("flags", "0"),))),
    ("uber-trace-id", f"1{SPAN}%3A{SPAN}%3a0%3A03",
     Context(Format.UBER, f"0000000000000001{SPAN}", SPAN, sampled=True, debug=True, extra=(("flags", "03"),))),
    ("x-cloud-trace-context", f"{TRACE}/{DECIMAL_SPAN};o=1",
     Context(Format.CLOUD_TRACE, TRACE, SPAN, sampled=True, extra=(("span", DECIMAL_SPAN), ("options", "1")))),
    ("x-cloud-trace-context", f"{TRACE.upper()}/0;o=2",
     Context(Format.CLOUD_TRACE, TRACE, sampled=False, extra=(("span", "0"), ("options", "2")))),
    ("x-cloud-trace-context", TRACE, Context(Format.CLOUD_TRACE, TRACE)),
    ("x-cloud-trace-context", f"{TRACE}/18446744073709551615",
     Context(Format.CLOUD_TRACE, TRACE, "f" * 16, extra=(("span", "18446744073709551615"),))),
    ("grpc-trace-bin", encoded(GRPC),
     Context(Format.GRPC_TRACE, TRACE, SPAN, sampled=True, extra=(("options", "01"),))),
    ("grpc-trace-bin", encoded(GRPC).rstrip("="),
     Context(Format.GRPC_TRACE, TRACE, SPAN, sampled=True, extra=(("options", "01"),))),
    ("grpc-trace-bin", encoded(GRPC[:-2]), Context(Format.GRPC_TRACE, TRACE, SPAN)),
    ("grpc-trace-bin", encoded(GRPC[:-1] + b"\0\x07\xff"),
     Context(Format.GRPC_TRACE, TRACE, SPAN, extra=(("options", "00"), ("rest", "07ff")))),
    ("grpc-trace-bin", encoded(b"\0" + GRPC[-2:] + GRPC[18:-2] + GRPC[1:18]),
     Context(Format.GRPC_TRACE, TRACE, SPAN, sampled=True, extra=(("options", "01"),))),
    ("grpc-trace-bin", "AA", Context(Format.GRPC_TRACE, None)),
    ("x-ot-span-context", encoded(LIGHTSTEP),
     Context(Format.OT_SPAN, "0807060504030201", "0908070605040302", sampled=True,
             extra=(("value", encoded(LIGHTSTEP)),))),
    ("x-ot-span-context", f"{TRACE};{SPAN};{'0' * 16};cs",
     Context(Format.OT_SPAN, TRACE, SPAN, extra=(("value", f"{TRACE};{SPAN};{'0' * 16};cs"),))),
    ("x-ot-span-context", "opaque", Context(Format.OT_SPAN, None, extra=(("value", "opaque"),))),
    ("sw8", sw8(),
     Context(Format.SW8, "trace.1", "segment.2:3", sampled=True,
             extra=(("service", "shop"), ("instance", "shop-0"), ("endpoint", "GET:/"), ("target", "inventory:80")))),
    ("x-amzn-trace-id", f"{ROOT};Parent={SPAN};Sampled=1",
     Context(Format.AMZN, TRACE, SPAN, sampled=True,
             extra=(("Root", ROOT[5:]), ("Parent", SPAN), ("Sampled", "1")))),
    ("x-amzn-trace-id", f"Self=1-0-1; {ROOT} ;Sampled=?;",
     Context(Format.AMZN, TRACE, extra=(("Self", "1-0-1"), ("Root", ROOT[5:]), ("Sampled", "?")))),
]  # fmt: skip


@pytest.mark.parametrize(("header", "value", "context"), VALID)
def test_a_valid_value_is_read_in_full(header: str, value: str, context: Context) -> None:
    assert read([(header.title(), f" {value}\t")]) == {context.format: context}


@pytest.mark.parametrize(
    ("header", "value", "position", "clause"),
    [
        ("uber-trace-id", f"{TRACE}:{SPAN}:0", 51, "The flags field is missing."),
        ("uber-trace-id", f"{TRACE}0:{SPAN}:0:1", 32, "The trace id is 1 to 32 hex digits long, not 33."),
        ("uber-trace-id", f"0:{SPAN}:0:1", 0, "The trace id may not be all zeros."),
        ("uber-trace-id", "1:0:0:1", 2, "The span id may not be all zeros."),
        ("uber-trace-id", "1::0:1", 2, "The span id is 1 to 16 hex digits long, not 0."),
        ("uber-trace-id", "1%3A2%3Ax%3A1", 8, "The parent span id consists of hex digits, and 'x' is none."),
        ("uber-trace-id", "1:2:0:100", 8, "The flags field is 1 or 2 hex digits long, not 3."),
        ("uber-trace-id", "1:2:0:1:", 7, "Nothing may follow the flags."),
        ("x-cloud-trace-context", f"{TRACE[:-1]}/1;o=1", 31, "The trace id is 32 hex digits long, not 31."),
        ("x-cloud-trace-context", f"{'0' * 32}/1", 0, "The trace id may not be all zeros."),
        ("x-cloud-trace-context", f"{TRACE}/", 33, "The span id is missing."),
        ("x-cloud-trace-context", f"{TRACE}/{SPAN}", 35, "The span id is a decimal number, and 'f' is no digit."),
        ("x-cloud-trace-context", f"{TRACE}/18446744073709551616", 33, "The span id does not fit into 64 bits."),
        ("x-cloud-trace-context", f"{TRACE}/{'0' * 21}", 33, "The span id does not fit into 64 bits."),
        ("x-cloud-trace-context", f"{TRACE}/1;o", 36, "The options are written ;o=1 or ;o=0."),
        ("x-cloud-trace-context", f"{TRACE};o=", 35, "The options are a number."),
        ("x-cloud-trace-context", f"{TRACE};o=1x", 36, "The options are a number."),
        ("grpc-trace-bin", "AAB!", 3, "Base64 consists of A-Z, a-z, 0-9, + and /; '!' is none."),
        ("grpc-trace-bin", "AAAAA", 5,
         "Base64 of this length holds no whole octets: a character is missing or too many."),
        ("grpc-trace-bin", "AAA==", 3, "Base64 is padded to a multiple of four characters, or not at all."),
        ("grpc-trace-bin", encoded(b"\x01" + GRPC[1:]), 0, "The layout's version is 0."),
        ("grpc-trace-bin", encoded(GRPC[:10]), 13, "The field 'trace id' is 16 octets long, not 8."),
        ("grpc-trace-bin", encoded(b"\0\0" + bytes(16) + GRPC[18:]), 2, "The trace id may not be all zeros."),
        ("grpc-trace-bin", encoded(GRPC[:-1]), 37, "The field 'options' is 1 octets long, not 0."),
        ("sw8", "2-", 0, "The sample field is 0 or 1."),
        ("sw8", "10-", 1, "The sample field is 0 or 1."),
        ("sw8", "1", 1, "The field 'trace id' is missing."),
        ("sw8", "1-a b-", 3, "Base64 consists of A-Z, a-z, 0-9, + and /; ' ' is none."),
        ("sw8", "1-/w==-", 2, "The field is not UTF-8 when decoded."),
        ("sw8", "1--", 2, "The trace id may not be empty."),
        ("sw8", sw8(span="x"), 28, "The parent span id is an integer, and 'x' is no digit."),
        ("sw8", sw8(span="99999999999"), 28, "The parent span id is an integer of 32 bits, beginning with 0."),
        ("sw8", f"{sw8()}-", len(sw8()), "Nothing may follow the target address."),
        ("x-amzn-trace-id", "Self=1", 6, "Root is missing: nothing names the trace."),
        ("x-amzn-trace-id", "Root", 4, "Each part is a key, an equals sign and a value."),
        ("x-amzn-trace-id", "Root=2-", 5, "A root begins with its version, 1, and a dash."),
        ("x-amzn-trace-id", "Root=1-1234567-", 14, "The root's time is 8 hex digits long, not 7."),
        ("x-amzn-trace-id", "Root=1-12345678", 15, "The root's identifier is missing."),
        ("x-amzn-trace-id", f"Root=1-12345678-{'0' * 24}", 16, "The root's identifier may not be all zeros."),
        ("x-amzn-trace-id", f"{ROOT[:-1]}g;Parent=x", 39,
         "The root's identifier consists of hex digits, and 'g' is none."),
        ("x-amzn-trace-id", f"{ROOT};Parent=12", 50, "The parent is 16 hex digits long, not 2."),
        ("x-amzn-trace-id", f"{ROOT}; Sampled=true", 50, "Sampled is 1, 0 or ?."),
    ],
)  # fmt: skip
def test_a_malformed_value_is_wrong_at_its_first_wrong_character(
    header: str, value: str, position: int, clause: str
) -> None:
    fault = read([(header, value)])[FORMAT_OF_HEADER[header]]
    assert isinstance(fault, Malformed)
    assert (fault.header, fault.value, fault.position, fault.clause) == (header, value, position, clause)
    assert fault.fault is Fault.INVALID


ONE_HEADER = sorted({header for header, _, _ in VALID})


@pytest.mark.parametrize("header", ONE_HEADER)
def test_a_header_may_be_neither_empty_nor_sent_twice(header: str) -> None:
    value = next(value for other, value, _ in VALID if other == header)
    for lines, kind in (([""], Fault.EMPTY), ([value, value], Fault.DUPLICATED)):
        fault = read([(header, line) for line in lines])[FORMAT_OF_HEADER[header]]
        assert isinstance(fault, Malformed)
        assert fault.fault is kind


DATADOG = {"x-datadog-trace-id": str(int(TRACE[16:], 16)), "x-datadog-parent-id": DECIMAL_SPAN}
HIGH = {"x-datadog-tags": f"_dd.p.dm=-1,_dd.p.tid={TRACE[:16]}"}


@pytest.mark.parametrize(
    ("sent", "context"),
    [
        (DATADOG, Context(Format.DATADOG, TRACE[16:], SPAN)),
        ({**DATADOG, **HIGH}, Context(Format.DATADOG, TRACE, SPAN, extra=(("tags", HIGH["x-datadog-tags"]),))),
        ({**DATADOG, "x-datadog-sampling-priority": "2"},
         Context(Format.DATADOG, TRACE[16:], SPAN, sampled=True, extra=(("priority", "2"),))),
        ({**DATADOG, "x-datadog-sampling-priority": "-1", "x-datadog-origin": "rum"},
         Context(Format.DATADOG, TRACE[16:], SPAN, sampled=False, extra=(("priority", "-1"), ("origin", "rum")))),
        ({"x-datadog-trace-id": "1", "x-datadog-origin": "synthetics"},
         Context(Format.DATADOG, "0000000000000001", extra=(("origin", "synthetics"),))),
        ({"x-datadog-sampling-priority": "0"},
         Context(Format.DATADOG, None, sampled=False, extra=(("priority", "0"),))),
    ],
)  # fmt: skip
def test_datadogs_decimal_ids_become_hex(sent: dict[str, str], context: Context) -> None:
    assert read(list(sent.items())) == {Format.DATADOG: context}


@pytest.mark.parametrize(
    ("sent", "header", "position", "fault"),
    [
        ({**DATADOG, "x-datadog-trace-id": TRACE}, "x-datadog-trace-id", 1, Fault.INVALID),
        ({**DATADOG, "x-datadog-trace-id": "0"}, "x-datadog-trace-id", 0, Fault.INVALID),
        ({**DATADOG, "x-datadog-trace-id": "18446744073709551616"}, "x-datadog-trace-id", 0, Fault.INVALID),
        ({**DATADOG, "x-datadog-parent-id": ""}, "x-datadog-parent-id", 0, Fault.EMPTY),
        ({"x-datadog-trace-id": "1"}, "x-datadog-parent-id", 0, Fault.INVALID),
        ({"x-datadog-parent-id": "1"}, "x-datadog-trace-id", 0, Fault.INVALID),
        ({**DATADOG, "x-datadog-sampling-priority": "-"}, "x-datadog-sampling-priority", 1, Fault.INVALID),
        ({**DATADOG, "x-datadog-sampling-priority": "1.0"}, "x-datadog-sampling-priority", 1, Fault.INVALID),
        ({**DATADOG, "x-datadog-tags": "a=b,_dd.p.tid=12"}, "x-datadog-tags", 16, Fault.INVALID),
    ],
)
def test_datadogs_malformed_headers_are_named(sent: dict[str, str], header: str, position: int, fault: Fault) -> None:
    found = read(list(sent.items()))[Format.DATADOG]
    assert isinstance(found, Malformed)
    assert (found.header, found.value, found.position, found.fault) == (header, sent.get(header, ""), position, fault)


@pytest.mark.parametrize(
    ("context", "fields"),
    [
        (Context(Format.UBER, TRACE, SPAN, sampled=True, debug=True), [("uber-trace-id", f"{TRACE}:{SPAN}:0:3")]),
        (Context(Format.CLOUD_TRACE, TRACE, SPAN, sampled=False),
         [("x-cloud-trace-context", f"{TRACE}/{DECIMAL_SPAN};o=0")]),
        (Context(Format.GRPC_TRACE, TRACE, SPAN, sampled=True), [("grpc-trace-bin", encoded(GRPC).rstrip("="))]),
        (Context(Format.OT_SPAN, TRACE, SPAN), []),
        (Context(Format.AMZN, TRACE, SPAN, sampled=False), [("x-amzn-trace-id", f"{ROOT};Parent={SPAN};Sampled=0")]),
        (Context(Format.DATADOG, TRACE, SPAN, sampled=True),
         [*DATADOG.items(), ("x-datadog-sampling-priority", "1"), ("x-datadog-tags", f"_dd.p.tid={TRACE[:16]}")]),
    ],
)  # fmt: skip
def test_a_context_that_was_not_read_is_rendered_all_the_same(context: Context, fields: list[tuple[str, str]]) -> None:
    assert render(context) == fields
