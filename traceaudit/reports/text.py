"""The report for people: the matrix, every finding with its evidence, the calls nobody caused, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from traceaudit import envoy
from traceaudit.exchange import Severity
from traceaudit.formats import read
from traceaudit.reports import headers, matrix, verdict, words
from traceaudit.reports.comparison import pairs
from traceaudit.reports.layout import show, wrap
from traceaudit.safe import safe
from traceaudit.store.reader import AuditReader, FindingRow, HeaderRow, Run

type _Example = tuple[str | None, str | None]

_VERDICTS = {
    "error": ("✘", "bold red"),
    "warning": ("▲", "bold yellow"),
    "note": ("•", "bold cyan"),
    "inconclusive": ("?", "bold yellow"),
    "clean": ("✓", "bold green"),
}


def write(console: Console, reader: AuditReader, run: Run, *, findings: Sequence[FindingRow] | None = None) -> None:
    """Prints the report of a run; ``findings`` are those to show, by default all."""
    show(console, lines(reader, run, reader.findings(run.id) if findings is None else findings, console.width))


def lines(reader: AuditReader, run: Run, findings: Sequence[FindingRow], width: int) -> Iterator[Text]:
    """The report in lines of at most so many cells, wherever they can be broken."""
    yield from _head(run, width)
    yield Text()
    yield from matrix.lines(matrix.read(reader, run), run, width)
    shown: dict[_Example, str] = {}
    for finding in filter(verdict.counts, findings):
        yield Text()
        yield from _finding(reader, finding, width, shown)
    unsure = [finding for finding in findings if not verdict.counts(finding)]
    if unsure:
        yield Text()
        title = ("Ambiguous", "bold"), ": it could be otherwise (below 0.95), so none of these counts."
        yield from wrap(Text.assemble(*title), width)
    for finding in unsure:
        yield Text()
        yield from _finding(reader, finding, width, shown)
    yield from _uncaused(reader, run, width)
    yield from _connections(reader, run, width)
    yield Text()
    yield from wrap(Text(verdict.seen(run), "dim"), width)
    yield from _verdict(run, findings, width)


def _head(run: Run, width: int) -> Iterator[Text]:
    facts = [words.name(run.service or run.command), f"run {run.id}", words.day_and_clock(run.started_ns)]
    facts.append("not ended" if run.ended_ns is None else words.duration(run.ended_ns - run.started_ns))
    text = Text.assemble(("traceaudit", "bold"), (f" · {' · '.join(filter(None, facts))}", "dim"))
    yield from wrap(text, width)


def _verdict(run: Run, findings: Sequence[FindingRow], width: int) -> Iterator[Text]:
    sign, style = _VERDICTS[verdict.severity(run, findings)]
    for number, sentence in enumerate(verdict.sentences(run, findings)):
        mark, colour = (sign, style) if not number else _VERDICTS["inconclusive"]
        yield from wrap(Text.assemble((f"{mark} {sentence}", colour)), width, "", "  ")


def _uncaused(reader: AuditReader, run: Run, width: int) -> Iterator[Text]:
    calls = reader.uncaused(run.id)
    if not calls:
        return
    yield Text()
    title = ("Uncaused", "bold"), ": no request made the service do these (a poller, a ticker, start-up)."
    yield from wrap(Text.assemble(*title), width)
    widest = max(len(f"{count:,}×") for _, _, count in calls)
    for authority, route, count in calls:
        yield from wrap(Text(words.upstream(authority, route)), width, f"  {f'{count:,}×':>{widest}}  ")


def _connections(reader: AuditReader, run: Run, width: int) -> Iterator[Text]:
    """What the service was connected to round the audit, and rightly."""
    connections = reader.connections(run.id)
    if not connections:
        return
    yield Text()
    yield from wrap(
        Text.assemble(("Not HTTP", "bold"), ": connections that no trace goes over, and are not audited."), width
    )
    for address, protocol, kind, count in connections:
        said = (
            f"{words.name(address)}  {words.name(protocol)} ({words.name(kind)}), {words.plural(count, 'connection')}"
        )
        yield from wrap(Text(said), width, "  ")


# --- one finding ------------------------------------------------------------------------------------------------------


def _finding(reader: AuditReader, finding: FindingRow, width: int, shown: dict[_Example, str]) -> Iterator[Text]:
    """One finding; ``shown`` says for which finding a call's headers have been shown already."""
    yield from _title(finding, width)
    yield from wrap(Text(words.edge_of(finding), "bold"), width, "  ", "    ")
    yield from wrap(Text(safe(finding.message, words.VALUE_LIMIT)), width, "  ")
    example = (finding.inbound_id, finding.outbound_id)
    outbound = reader.exchange(finding.outbound_id) if finding.outbound_id else None
    if outbound is None:
        yield from _facts(finding, width)
    elif example in shown:
        yield from _facts(finding, width)
        again = f"{words.request(outbound)} ({words.name(outbound.id)}), shown above for {words.name(shown[example])}"
        yield from _fact("call", Text(again), width)
    else:
        shown[example] = finding.code
        inbound = reader.exchange(finding.inbound_id) if finding.inbound_id else None
        carried = reader.headers(inbound.id) if inbound else []
        sent = reader.headers(outbound.id)
        yield Text()
        yield from headers.lines(inbound, outbound, pairs(carried, sent), width)
        yield Text()
        yield from _facts(finding, width)
        yield from _fact("link", Text(words.link(reader.links(outbound.id), finding.probability)), width)
        yield from _envoy(carried, sent, width)
    yield from _fact("fix", Text.assemble("→ ", (f"traceaudit rule {words.name(finding.code)}", "bold")), width)


def _title(finding: FindingRow, width: int) -> Iterator[Text]:
    severity = words.SEVERITIES.get(finding.severity, words.UNKNOWN)
    sign, word, style = severity.sign, finding.severity, severity.style
    if not verdict.counts(finding):
        sign, word, style = "?", f"perhaps {_article(finding.severity)}", "dim"
    title = Text.assemble(
        (f"{sign} {words.name(word)} {words.name(finding.code)}", style),
        (f" {words.name(finding.slug)}", "dim" if style == "dim" else "bold"),
        (f" · {words.sureness(finding)}", "dim"),
        (f" · {finding.occurrences:,}×" if finding.occurrences else "", "dim"),
    )
    yield from wrap(title, width, "", "  ")


def _article(severity: str) -> str:
    return f"an {severity}" if severity == Severity.ERROR else f"a {severity}"


def _facts(finding: FindingRow, width: int) -> Iterator[Text]:
    for name, value in (("expected", finding.expected), ("observed", finding.observed)):
        if value:
            yield from _fact(name, Text(safe(value, words.VALUE_LIMIT)), width)
    if finding.occurrences:
        yield from _fact("seen", Text(words.seen(finding)), width)
    if where := words.location(finding):
        yield from _fact("where", Text(where, "bold"), width)


def _fact(name: str, value: Text, width: int) -> list[Text]:
    first, *rest = wrap(value, width, " " * 11)
    return [Text.assemble((f"  {name:<9}", "dim"), first[11:]), *rest]


def _envoy(carried: Sequence[HeaderRow], sent: Sequence[HeaderRow], width: int) -> Iterator[Text]:
    """What each tracer of Envoy makes of the call: a line a result, with the reason where the trace is not joined."""
    request, call = ([(row.name, row.value) for row in rows] for rows in (carried, sent))
    grouped: dict[tuple[str, str], list[str]] = {}
    for each in envoy.verdicts(read(request), read(call), call):
        if each.result is not envoy.Result.UNTESTED:
            reason = "" if each.result is envoy.Result.JOINED else each.reason
            grouped.setdefault((each.result.value, reason), []).append(each.tracer.value)
    for number, ((result, reason), tracers) in enumerate(sorted(grouped.items(), key=lambda item: not item[0][1])):
        colour = "green" if result == envoy.Result.JOINED else "red"
        text = Text.assemble((result, colour), f" by {', '.join(tracers)}", f": {safe(reason)}" if reason else "")
        yield from _fact("" if number else "Envoy", text, width)
