"""The audit on small histories: who is linked, who is accused, how sure it is, and who is left in peace."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from random import Random

import pytest

from tests.rules.calls import TRACE, call
from tests.rules.cases import CASES
from traceaudit import audit, routes
from traceaudit.audit import Audit, AuditSettings
from traceaudit.correlation.frozen import OCCASIONS, FrozenContexts
from traceaudit.exchange import Confidence, Direction, Exchange, Header, Severity
from traceaudit.rules import RULES, select
from traceaudit.verdicts import Verdict, went_on

MS = 1_000_000
IDLE_MS = 60_000


def ids(number: int) -> list[Header]:
    """The three required families of one request, all of one trace."""
    trace = f"{number:032x}"
    return [
        ("traceparent", f"00-{trace}-{number:016x}-01"),
        ("b3", f"{trace}-{number:016x}-1"),
        ("x-request-id", f"{number:08x}-0000-4000-8000-000000000000"),
    ]


def only(names: Iterable[str], headers: list[Header]) -> list[Header]:
    return [(name, value) for name, value in headers if name in set(names)]


class History:
    """Feeds an audit in the order in which a test tells it; times are milliseconds, and only go forward."""

    def __init__(self, settings: AuditSettings | None = None) -> None:
        self.audit = Audit(settings)
        self.audit.advance(0)
        self._open: dict[str, Exchange] = {}
        self._calls = itertools.count(1)
        self._now = 0

    def request(self, at: int, id_: str, headers: list[Header], path: str = "/checkout") -> None:
        self._open[id_] = Exchange(id_, Direction.INBOUND, at * MS, "GET", "shop", path, headers)
        self.audit.begin(self._open[id_])

    def response(self, at: int, id_: str) -> None:
        self._now = at
        exchange = self._open.pop(id_)
        exchange.ended_ns = at * MS
        self.audit.end(exchange)

    def call(
        self, at: int, headers: list[Header], host: str = "pricing", path: str = "/quote", method: str = "GET"
    ) -> Verdict:
        self._now = at
        outbound = Exchange(f"o{next(self._calls)}", Direction.OUTBOUND, at * MS, method, host, path, headers)
        verdict = self.audit.begin(outbound)
        assert verdict is not None
        return verdict

    def findings(self, *, idle: bool = True) -> dict[str, Confidence]:
        """Code and edge of every finding, and how sure it is, after another minute without a request."""
        self.audit.settle((self._now + IDLE_MS) * MS if idle else None)
        return {
            f"{each.rule.code} {each.edge.inbound_route} -> {each.edge.outbound_authority}": each.confidence
            for each in self.audit.findings
        }


@pytest.fixture
def history() -> History:
    """A service that was watched for a minute without a request."""
    told = History()
    told.audit.advance(IDLE_MS * MS)
    return told


def test_a_service_that_forwards_everything_is_left_in_peace(history: History) -> None:
    for number in range(5):
        at = IDLE_MS + number * 10
        history.request(at, f"i{number}", ids(number + 1))
        verdict = history.call(at + 1, ids(number + 1))
        history.response(at + 2, f"i{number}")
        assert (verdict.links[0].inbound_id, verdict.links[0].method) == (f"i{number}", "trace-id")
    assert history.findings() == {}
    assert history.audit.linked == 5


def drops(history: History, requests: int = 3) -> None:
    """Requests that each make one call without any header."""
    for number in range(1, requests + 1):
        at = IDLE_MS + number * 1000
        history.request(at, f"i{number}", ids(number))
        assert history.call(at + 1, []).links[0].method == "isolated"
        history.response(at + 2, f"i{number}")


def test_a_call_without_a_header_is_a_drop_of_the_one_request_in_flight(history: History) -> None:
    drops(history)
    assert history.findings() == dict.fromkeys(
        ["TP001 GET /checkout -> pricing", "TP003 GET /checkout -> pricing", "TP004 GET /checkout -> pricing"],
        Confidence.PROVEN,
    )


def test_with_several_in_flight_the_drop_is_as_sure_and_the_link_is_not_claimed(history: History) -> None:
    """Whichever of the four caused the call, it carried the headers; the shares of the four are summed."""
    for start in range(IDLE_MS, IDLE_MS + 8000, 1000):
        for number in range(4):
            history.request(start + number, f"i{start + number}", ids(start + number), path=f"/checkout/{number}")
        verdict = history.call(start + 10, [])
        for number in range(3):
            history.call(start + 11 + number, [])
        for number in range(4):
            history.response(start + 20 + number, f"i{start + number}")
        assert max(link.probability for link in verdict.links) < 0.3
    assert history.findings()["TP001 GET /checkout/{id} -> pricing"] is Confidence.PROVEN


def test_a_candidate_without_the_header_makes_the_drop_ambiguous(history: History) -> None:
    history.request(IDLE_MS, "i1", ids(1))
    history.request(IDLE_MS + 1, "i2", [])
    history.call(IDLE_MS + 2, [])
    history.response(IDLE_MS + 3, "i1")
    history.response(IDLE_MS + 4, "i2")
    assert set(history.findings().values()) <= {Confidence.AMBIGUOUS}


def test_routes_that_may_both_have_caused_a_call_are_both_named(history: History) -> None:
    history.request(IDLE_MS, "i1", ids(1), path="/checkout")
    history.request(IDLE_MS + 1, "i2", ids(2), path="/cart")
    history.call(IDLE_MS + 2, [])
    history.response(IDLE_MS + 3, "i1")
    history.response(IDLE_MS + 4, "i2")
    assert "TP001 GET /cart | GET /checkout -> pricing" in history.findings()


def test_what_one_route_is_known_to_do_is_not_found_again_for_it_or_another(history: History) -> None:
    """A call that either of two requests may have made is one more of those that the first is known to make so."""
    drops(history)
    history.request(2 * IDLE_MS, "i1", ids(1))
    history.request(2 * IDLE_MS + 1, "i2", ids(2), path="/cart")
    for late in (2, 3, 4):
        history.call(2 * IDLE_MS + late, [])
    history.response(2 * IDLE_MS + 5, "i1")
    history.response(2 * IDLE_MS + 6, "i2")
    assert {key for key in history.findings() if key.startswith("TP001")} == {"TP001 GET /checkout -> pricing"}
    (finding,) = (each for each in history.audit.findings if each.rule.code == "TP001")
    assert finding.occurrences == 6


def test_a_call_in_idle_time_is_caused_by_nothing_and_never_accused(history: History) -> None:
    verdict = history.call(IDLE_MS + 1, [], host="config", path="/watch")
    assert (verdict.links[0].inbound_id, verdict.edge, verdict.outcomes) == (None, None, [])
    assert history.findings() == {}


def test_a_poller_is_not_accused_when_it_happens_to_call_during_a_request(history: History) -> None:
    at = IDLE_MS
    for _ in range(50):
        history.call(at := at + 1000, [], host="config", path="/watch")
    history.request(at + 100, "i1", ids(1))
    verdict = history.call(at + 150, [], host="config", path="/watch")
    history.response(at + 200, "i1")
    assert verdict.links[0].inbound_id is None or verdict.links[0].probability < 0.95
    assert Confidence.PROVEN not in history.findings().values()
    assert Confidence.PROBABLE not in history.findings().values()


@pytest.mark.parametrize("path", [
    "/v1/traces", "/otlp/v1/metrics", "/api/v2/spans", "/api/traces?format=jaeger.thrift", "/v0.4/traces",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
])  # fmt: skip
def test_an_exporter_that_sends_while_there_is_traffic_is_not_accused(history: History, path: str) -> None:
    for number in range(1, 30):
        history.request(IDLE_MS + number * 10, f"i{number}", ids(number))
        verdict = history.call(IDLE_MS + number * 10 + 5, [], host="collector:4318", path=path, method="POST")
        history.response(IDLE_MS + number * 10 + 9, f"i{number}")
        assert verdict.links[0].inbound_id is None
    assert history.findings() == {}


def test_a_path_that_only_looks_like_an_exporters_is_a_call_like_any_other(history: History) -> None:
    history.request(IDLE_MS, "i1", ids(1))
    assert history.call(IDLE_MS + 1, [], path="/v1/traces", method="GET").links[0].inbound_id == "i1"
    assert history.call(IDLE_MS + 2, [], path="/v1/traces/17", method="POST").links[0].inbound_id == "i1"


def test_a_poller_of_a_route_that_requests_call_too_is_not_accused(history: History) -> None:
    """Every caused call hands its headers on; the poller's have none, and fall into busy times now and then."""
    at = IDLE_MS
    for number in range(1, 401):
        at += 100
        history.request(at, f"i{number}", ids(number))
        for _ in range(5):
            history.call(at + 5, ids(number))
        if number % 10 == 0:
            history.call(at + 20, [])
        history.response(at + 40, f"i{number}")
        if number % 7 == 0:
            history.call(at + 60 if number % 14 else at + 99, [])
    assert set(history.findings(idle=False).values()) <= {Confidence.AMBIGUOUS}


def test_a_call_is_surer_to_be_caused_once_it_was_seen_not_to_come_by_itself(history: History) -> None:
    drops(history, 1)
    assert set(history.findings(idle=False).values()) == {Confidence.PROBABLE}
    before = max(each.probability for each in history.audit.findings)
    assert set(history.findings().values()) == {Confidence.PROBABLE}
    assert min(each.probability for each in history.audit.findings) > before


def test_what_does_not_come_with_every_request_is_not_proven_by_presence(history: History) -> None:
    """A batch that a timer sends when there is something in it keeps time with the traffic."""
    drops(history, 5)
    history.request(IDLE_MS + 9000, "i6", ids(6))
    history.response(IDLE_MS + 9002, "i6")
    assert set(history.findings().values()) == {Confidence.PROBABLE}


def test_a_ticker_in_step_with_the_requests_is_told_by_its_clock(history: History) -> None:
    for second in range(20):
        history.call(IDLE_MS + second * 1000 + 78, [], host="config", path="/watch")
    for second in range(20, 52):
        at = IDLE_MS + second * 1000
        history.request(at, f"i{second}", ids(second))
        history.call(at + 78, [], host="config", path="/watch")
        history.response(at + 200, f"i{second}")
    assert history.findings(idle=False) == {}


def test_what_a_poller_was_accused_of_before_it_was_known_is_taken_back() -> None:
    """Its first call comes during the first request; then it goes on calling while nothing is in flight."""
    history = History()
    history.audit.advance(5_000 * MS)
    history.request(5_000, "i1", ids(1))
    history.call(5_010, [], host="config", path="/watch")
    history.response(5_020, "i1")
    for second in range(6, 60):
        history.call(second * 1000, [], host="config", path="/watch")
    assert set(history.findings().values()) <= {Confidence.AMBIGUOUS}


def busy(seed: int, requests: int = 60) -> list[tuple[int, int]]:
    """Starts and ends of requests that come at random, one in flight on average, half of the time another, or none."""
    random = Random(seed)
    starts = itertools.accumulate((1 + int(random.expovariate(1 / 15)) for _ in range(requests)), initial=IDLE_MS)
    return [(start, start + 10 + random.randrange(10)) for start in starts]


def called_at(history: History, requests: list[tuple[int, int]], times: Iterable[int]) -> dict[str, Confidence]:
    """The findings where calls without headers are made at these times."""
    events = [(start, 0, number) for number, (start, _) in enumerate(requests, 1)]
    events += [(end, 1, number) for number, (_, end) in enumerate(requests, 1)]
    for at, kind, number in sorted([*events, *((at, 2, 0) for at in times)]):
        if kind == 0:
            history.request(at, f"i{number}", ids(number))
        elif kind == 1:
            history.response(at, f"i{number}")
        else:
            history.call(at, [], host="audit", path="/events")
    return history.findings()


@pytest.mark.parametrize("seed", range(4))
def test_late_work_is_told_by_coming_right_after_responses_where_others_are_in_flight(
    history: History, seed: int
) -> None:
    requests = busy(seed)
    found = called_at(history, requests, [end + 1 for number, (_, end) in enumerate(requests) if number % 10])
    assert set(found.values()) == {Confidence.PROBABLE}


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_that_is_sent_some_milliseconds_after_responses_is_not_taken_for_their_late_work(
    history: History, seed: int
) -> None:
    requests = busy(seed)
    ends = sorted(end for _, end in requests)
    batches = sorted({end - end % 7 + 7 for end in ends})
    assert set(called_at(history, requests, batches).values()) <= {Confidence.AMBIGUOUS}


def test_without_any_idle_time_nothing_is_proven_from_presence() -> None:
    history = History()
    history.request(0, "i1", ids(1))
    for number in range(1, 20):
        history.call(number, [])
        history.request(number, f"i{number + 1}", ids(number + 1))
        history.response(number, f"i{number}")
    assert Confidence.PROVEN not in history.findings().values()


def test_a_call_after_the_response_belongs_to_the_request_that_is_just_over(history: History) -> None:
    for number in range(3):
        at = IDLE_MS + number * 20_000
        history.request(at, f"i{number}", ids(number + 1), path="/orders")
        history.response(at + 5, f"i{number}")
        verdict = history.call(at + 30, only(["x-request-id"], ids(number + 1)), host="mail")
        assert verdict.links[0].inbound_id == f"i{number}"
    assert set(history.findings()) == {"TP001 GET /orders -> mail", "TP003 GET /orders -> mail"}


def test_headers_of_another_request_are_a_leak_whichever_of_the_two_is_the_cause(history: History) -> None:
    history.request(IDLE_MS, "i1", ids(1), path="/recommendations")
    history.request(IDLE_MS + 1, "i2", ids(2), path="/recommendations")
    history.call(IDLE_MS + 2, [*only(["traceparent", "b3"], ids(2)), *only(["x-request-id"], ids(1))])
    history.response(IDLE_MS + 3, "i1")
    history.response(IDLE_MS + 4, "i2")
    assert history.findings() == {"TP021 GET /recommendations -> pricing": Confidence.PROVEN}


def test_a_new_request_id_alone_is_no_fault_of_the_trace(history: History) -> None:
    history.request(IDLE_MS, "i1", ids(1), path="/search")
    history.call(IDLE_MS + 1, [*only(["traceparent", "b3"], ids(1)), *only(["x-request-id"], ids(9))])
    history.response(IDLE_MS + 2, "i1")
    assert history.findings() == {"TP012 GET /search -> pricing": Confidence.PROVEN}


def test_an_invalid_traceparent_is_to_be_ignored_and_a_new_trace_is_right(history: History) -> None:
    invalid: list[Header] = [("traceparent", f"00-{TRACE}-0000000000000000-01"), *only(["x-request-id"], ids(1))]
    history.request(IDLE_MS, "i1", invalid)
    history.call(IDLE_MS + 1, [*only(["traceparent"], ids(7)), *only(["x-request-id"], ids(1))])
    history.response(IDLE_MS + 2, "i1")
    assert history.findings() == {}


def test_two_requests_of_one_trace_are_told_apart_by_their_request_ids(history: History) -> None:
    """A client that calls the service twice in one trace."""
    for number in (1, 2):
        headers = [*only(["traceparent", "b3"], ids(1)), *only(["x-request-id"], ids(number))]
        history.request(IDLE_MS + number, f"i{number}", headers)
    verdict = history.call(IDLE_MS + 5, [*only(["traceparent", "b3"], ids(1)), *only(["x-request-id"], ids(2))])
    assert (verdict.links[0].inbound_id, verdict.links[0].probability > 0.999) == ("i2", True)
    history.response(IDLE_MS + 6, "i1")
    history.response(IDLE_MS + 7, "i2")
    assert history.findings() == {}


# --- contexts that stay -----------------------------------------------------------------------------------------------


def frozen_calls(
    history: History, headers: list[Header], *, times: int = 5, own: tuple[str, ...] = ()
) -> list[Verdict]:
    verdicts = []
    for number in range(2, times + 2):
        at = IDLE_MS + number * 10_000
        history.request(at, f"i{number}", ids(number))
        verdicts.append(history.call(at + 5, [*headers, *only(own, ids(number))]))
        history.response(at + 10, f"i{number}")
    return verdicts


def test_a_context_that_was_made_once_and_is_sent_with_every_call_is_frozen(history: History) -> None:
    made = only(["traceparent", "b3"], ids(99))
    frozen_calls(history, made, own=("x-request-id",))
    assert history.findings()["TP022 GET /checkout -> pricing"] is Confidence.PROVEN


def test_a_request_whose_context_is_kept_for_all_is_not_linked_to_all(history: History) -> None:
    """Its headers, x-request-id and all, go out with everybody's calls: late work of its own, or a frozen context."""
    history.request(IDLE_MS, "i1", ids(1))
    history.call(IDLE_MS + 1, ids(1))
    history.response(IDLE_MS + 2, "i1")
    verdicts = frozen_calls(history, ids(1))
    assert all(verdict.links[0].probability < 0.95 for verdict in verdicts)
    assert history.findings() == {"TP022 GET /checkout -> pricing": Confidence.AMBIGUOUS}


def test_late_work_of_one_request_among_others_is_not_accused(history: History) -> None:
    """A queue that is worked off while other requests come and make calls of their own."""
    history.request(IDLE_MS, "i1", ids(1), path="/orders")
    history.response(IDLE_MS + 2, "i1")
    at = IDLE_MS + 1000
    history.request(at, "i2", ids(2))
    history.call(at + 1, ids(1), host="mail")
    history.call(at + 2, ids(2))
    history.response(at + 10, "i2")
    assert history.findings() == {}


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_family_that_is_not_required_is_reported_a_step_lower() -> None:
    history = History(AuditSettings(require=frozenset({"traceparent"})))
    history.audit.advance(IDLE_MS * MS)
    history.request(IDLE_MS, "i1", ids(1))
    history.call(IDLE_MS + 1, [])
    history.response(IDLE_MS + 2, "i1")
    history.audit.settle()
    assert {each.rule.code: each.severity for each in history.audit.findings} == {
        "TP001": Severity.ERROR,
        "TP003": Severity.WARNING,
        "TP004": Severity.WARNING,
    }


def test_rules_that_are_not_selected_say_nothing() -> None:
    history = History(AuditSettings(rules=select(["ALL"], ["TP003", "TP004"])))
    history.audit.advance(IDLE_MS * MS)
    history.request(IDLE_MS, "i1", ids(1))
    history.call(IDLE_MS + 1, [])
    assert set(history.findings()) == {"TP001 GET /checkout -> pricing"}


def test_a_severity_of_ones_own_stands() -> None:
    history = History(AuditSettings(severities={"TP001": Severity.NOTE}))
    history.audit.advance(IDLE_MS * MS)
    history.request(IDLE_MS, "i1", ids(1))
    history.call(IDLE_MS + 1, only(["b3", "x-request-id"], ids(1)))
    history.audit.settle()
    assert [each.severity for each in history.audit.findings] == [Severity.NOTE]


# --- routes that are learned ------------------------------------------------------------------------------------------


def test_findings_of_one_route_become_one_when_it_shows_that_a_part_of_it_varies(history: History) -> None:
    for number in range(1, 41):
        at = IDLE_MS + number * 100
        name = "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}")
        history.request(at, f"i{number}", ids(number), path=f"/users/{name}/cart")
        history.call(at + 1, [], path=f"/prices/{name}")
        history.response(at + 2, f"i{number}")
    assert set(history.findings()) == {
        f"{code} GET /users/{{name}}/cart -> pricing" for code in ("TP001", "TP003", "TP004")
    }
    assert {each.occurrences for each in history.audit.findings} == {40}
    assert {each.edge.outbound_route for each in history.audit.findings} == {"GET /prices/{name}"}
    assert len(history.audit.findings.edges) == 1


def test_calls_on_more_edges_than_can_be_remembered_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And accused of nothing; what is known stays known."""
    monkeypatch.setattr(audit, "MOST_EDGES", 2)
    monkeypatch.setattr(routes, "MOST_SCOPES", 2)
    told = History()
    told.request(IDLE_MS, "i1", ids(1))
    for host, known in (("a", True), ("b", True), ("c", False), ("a", True), ("c", False)):
        verdict = told.call(IDLE_MS + 1, ids(2), host=host)
        assert (bool(verdict.links), bool(verdict.accusations)) == (known, known)
        assert bool(told.call(IDLE_MS + 2, ids(1), host=host).links) == known
    told.response(IDLE_MS + 3, "i1")
    assert {each.edge.outbound_authority for each in told.audit.findings} == {"a", "b"}


def test_a_frozen_context_does_not_gather_the_requests_that_it_is_seen_with() -> None:
    frozen = FrozenContexts()
    assert [frozen.see("GET /", "t", frozenset({f"i{number}"})) for number in range(50)] == 2 * [False] + 48 * [True]
    assert frozen._seen["GET /", "t"] == (OCCASIONS, {"i0", "i1", "i2"})


# --- what most calls look like ----------------------------------------------------------------------------------------


def test_a_call_on_which_everything_went_on_breaks_no_rule() -> None:
    """The audit does not look at such calls rule by rule."""
    calls = [(case, call(case.carried, case.sent, case.judgements, participant=case.participant)) for case in CASES]
    spared = [(case, each) for case, each in calls if went_on(each)]
    assert len(spared) > 3
    assert [case for case, each in spared if any(rule.check(each) for rule in RULES)] == []
