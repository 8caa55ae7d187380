"""What a probe's findings were when requests were alone, and when many were together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from traceaudit.findings import SEVERAL
from traceaudit.mixing import Comparison
from traceaudit.reports import verdict, words
from traceaudit.reports.layout import wrap
from traceaudit.store.reader import AuditReader, FindingRow, Run

_WIDTH = 18
_UNSURE = "bold yellow"
_MIXED = ("TP021", "TP022")


@dataclass(frozen=True, slots=True)
class Probed:
    """How many requests were alone, and how many together; ``since_ns`` is when these began (``None``: never).

    ``done`` of ``rounds`` are over. ``comparison`` is what the numbers of calls tell; ``None``: nobody looked at them.
    """

    alone: int
    together: int
    since_ns: int | None
    done: int
    rounds: int
    comparison: Comparison | None


@dataclass(slots=True)
class _Row:
    """What one rule found on one upstream's route: whichever requests the calls are said to be of, it is one fault."""

    finding: FindingRow
    routes: set[str]
    alone: set[str]
    together: set[str]
    calls: tuple[int, int]

    @property
    def only_together(self) -> bool:
        return bool(self.together) and not self.alone and self.calls[0] > 0


def lines(reader: AuditReader, run: Run, findings: Sequence[FindingRow], probed: Probed, width: int) -> Iterator[Text]:
    """The numbers of both phases for each finding that counts, and what came up only together."""
    yield Text()
    title = f": {words.plural(probed.alone, 'request')} alone, {probed.together:,} together"
    yield from wrap(Text.assemble(("Probe", "bold"), title), width)
    if probed.since_ns is None:
        said = "? inconclusive: the probe ended before requests were together; see why, and probe again"
        yield from wrap(Text(said, _UNSURE), width, "", "  ")
        return
    rows = _rows(reader, run, findings, probed.since_ns)
    if rows:
        yield Text()
        yield Text(f"  {'alone':<{_WIDTH}}  together", "dim")
    for row in rows:
        finding = row.finding
        numbers = (_share(row.alone, row.calls[0]), _share(row.together, row.calls[1]))
        severity = words.SEVERITIES.get(finding.severity, words.UNKNOWN)
        yield Text.assemble(
            "  ".join(["", *(f"{each:<{_WIDTH}}" for each in numbers), ""]),
            (f"{severity.sign} {words.name(finding.code)}", severity.style),
            f" {words.name(finding.slug)}",
            (" · only together", "bold") if row.only_together else "",
        )
        where = words.edge(SEVERAL.join(sorted(row.routes)), finding.outbound_authority, finding.outbound_route)
        yield from wrap(Text(where, "dim"), width, " " * (2 * _WIDTH + 6))
    yield from _left_out(rows, probed.comparison, width)
    yield Text()
    yield from wrap(_conclusion(rows, run, findings, probed.comparison), width, "", "  ")
    if probed.done < probed.rounds:
        said = f"? inconclusive: the probe ended after {probed.done:,} of {words.plural(probed.rounds, 'round')}"
        yield from wrap(Text(f"{said}; see why, and probe again", _UNSURE), width, "", "  ")


def _rows(reader: AuditReader, run: Run, findings: Sequence[FindingRow], since_ns: int) -> list[_Row]:
    calls = reader.calls_since(run.id, since_ns)
    occurrences: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for finding_id, outbound_id, started_ns in reader.occurrences(run.id):
        occurrences[finding_id].append((outbound_id, started_ns))
    rows: dict[tuple[str, str, str], _Row] = {}
    for finding in filter(verdict.counts, findings):
        if not occurrences[finding.id]:
            continue  # It is about what was not seen.
        place = (finding.outbound_authority, finding.outbound_route)
        row = rows.setdefault((finding.code, *place), _Row(finding, set(), set(), set(), calls.get(place, (0, 0))))
        row.routes |= set(finding.inbound_route.split(SEVERAL))
        for id_, at_ns in occurrences[finding.id]:
            (row.alone if at_ns < since_ns else row.together).add(id_)
    return sorted(rows.values(), key=lambda row: not row.only_together)


def _left_out(rows: Sequence[_Row], comparison: Comparison | None, width: int) -> Iterator[Text]:
    """What the numbers of calls cannot tell: silence is not to look like all is well."""
    title = Text.assemble(("Not seen", "bold"), ": whether whole contexts change places")
    if comparison is None or not comparison.answered_alike:
        why = "what tells that was not recorded" if comparison is None else "requests were not all answered alike"
        yield Text()
        yield from wrap(Text.assemble(title, f"; {why}."), width)
        return
    told = {(row.finding.outbound_authority, row.finding.outbound_route) for row in rows if row.finding.code in _MIXED}
    others = [(edge, why) for edge, why in comparison.left_out.items() if edge not in told]
    if others:
        yield Text()
        yield from wrap(Text.assemble(title, " on these routes:"), width)
    for edge, why in others:
        yield from wrap(Text(f"{words.upstream(*edge)}: {why.value}"), width, "  ", "    ")


def _share(found: set[str], calls: int) -> str:
    return f"{len(found):,} of {words.plural(calls, 'call')}"


def _conclusion(rows: Sequence[_Row], run: Run, findings: Sequence[FindingRow], comparison: Comparison | None) -> Text:
    only = [row for row in rows if row.only_together]
    if only:
        why = (
            ": requests share what should be each one's own" if any(row.finding.code in _MIXED for row in only) else ""
        )
        return Text(f"✘ {words.plural(len(only), 'fault')} came up only together{why}", "bold red")
    if verdict.doubts(run, findings):
        return Text("? nothing can be said of requests together: the run is inconclusive", _UNSURE)
    if any(finding.code in _MIXED and not verdict.counts(finding) for finding in findings):
        return Text("? contexts are mixed, perhaps: more --rounds, and more --together, tell", _UNSURE)
    if comparison is None or not comparison.answered_alike or comparison.left_out:
        return Text("• nothing came up only together, as far as could be seen", "bold cyan")
    return Text("✓ nothing came up only together", "bold green")
