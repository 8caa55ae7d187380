"""What a run amounts to: the exit status, and the words for it. Silence must never look like all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from traceaudit.commands.status import Status
from traceaudit.exchange import Confidence, Severity
from traceaudit.reports.words import name, plural
from traceaudit.store.reader import FindingRow, Run

NEVER = "never"
"""The ``fail_on`` at which no finding fails anything."""

_BYPASS = "CP001"


def verdict(run: Run, findings: Sequence[FindingRow], fail_on: str | None) -> Status:
    """The exit status of a run; DESIGN 9.

    Proven and probable findings at or above ``fail_on`` (a severity; ``None`` and ``never``: none does) decide first,
    then whether enough was seen to say that all is well.
    """
    if fail_on not in (None, NEVER):
        threshold = Severity(fail_on).rank
        if any(_rank(finding) >= threshold for finding in findings if counts(finding)):
            return Status.FINDINGS
    return Status.INCONCLUSIVE if doubts(run, findings) else Status.OK


def counts(finding: FindingRow) -> bool:
    """Whether a finding accuses: an ambiguous one does not."""
    return finding.confidence != Confidence.AMBIGUOUS


def _rank(finding: FindingRow) -> int:
    """A severity that this version does not know is taken for the gravest."""
    return Severity(finding.severity).rank if finding.severity in Severity else Severity.ERROR.rank


def doubts(run: Run, findings: Sequence[FindingRow]) -> list[str]:
    """Why nothing can be said for sure, each with its remedy, as sentences; none: the run is conclusive."""
    said: list[str] = []
    if not run.linked:
        said.append(_nothing_linked(run))
    if any(finding.code == _BYPASS for finding in findings):
        said.append("some of the service's connections bypass the audit: route them through it, and run again")
    if run.missing:
        said.append(
            f"{' and '.join(map(name, run.missing))} {'was' if len(run.missing) == 1 else 'were'} expected and never "
            "called: send a request that needs it, or see whether the service calls it by another name"
        )
    if run.dropped:
        said.append(
            f"{plural(run.dropped, 'exchange was', 'exchanges were')} dropped before they could be recorded: free the "
            "disk or close what locks the database, and run again"
        )
    if run.audit_errors:
        said.append(
            f"{plural(run.audit_errors, 'error')} happened inside the audit, so calls may have gone unjudged: see what "
            "the run said on standard error"
        )
    return said


def _nothing_linked(run: Run) -> str:
    if not run.inbound and not run.outbound:
        return "nothing came through the proxy: send the service requests through the inbound listener"
    if not run.outbound:
        return (
            f"no outbound call was seen, only {plural(run.inbound, 'request')}: Go ignores HTTP_PROXY for localhost "
            "and loopback addresses and in any http.Transport without Proxy. Call the upstreams by their Service "
            "names, or let `traceaudit run` start the service and capture its calls"
        )
    if not run.inbound:
        return (
            f"{plural(run.outbound, 'call')} went out, but no request came in through the proxy: send the requests to "
            "the inbound listener instead of to the service"
        )
    return (
        f"none of {plural(run.outbound, 'call')} could be linked to a request ({run.uncaused:,} uncaused, "
        f"{run.ambiguous:,} ambiguous): send the requests one at a time, or run with --isolate"
    )


def severity(run: Run, findings: Sequence[FindingRow]) -> str:
    """``error``, ``warning`` or ``note`` (the gravest that counts), ``inconclusive``, or ``clean``."""
    there = {finding.severity for finding in findings if counts(finding)}
    if there - set(Severity):
        return Severity.ERROR.value
    gravest = next((each.value for each in Severity if each in there), None)
    return gravest or ("inconclusive" if doubts(run, findings) else "clean")


def sentences(run: Run, findings: Sequence[FindingRow]) -> list[str]:
    """The verdict in words: what was found first, then every doubt."""
    tally = Counter(finding.severity for finding in findings if counts(finding))
    words = [plural(number, each) for each, number in sorted(tally.items(), key=_by_gravity)]
    ambiguous = len(findings) - tally.total()
    uncounted = f"{plural(ambiguous, 'ambiguous finding')} not counted" if ambiguous else ""
    doubted = [f"inconclusive: {each}" for each in doubts(run, findings)]
    if words:
        return ["; ".join(filter(None, [f"found {', '.join(words)}", uncounted])), *doubted]
    if doubted:
        return [*doubted, *filter(None, [uncounted])]
    unsure = run.outbound - run.linked - run.uncaused
    found = [f"nothing found in {plural(run.linked, 'linked call')}"]
    if unsure:
        found.append(f"{plural(unsure, 'call was', 'calls were')} not linked surely enough to be judged")
    return ["; ".join(filter(None, [*found, uncounted]))]


def _by_gravity(item: tuple[str, int]) -> int:
    order = [each.value for each in Severity]
    return order.index(item[0]) if item[0] in order else -1


def seen(run: Run) -> str:
    """``30 inbound, 45 outbound; 40 linked, 3 uncaused, 2 ambiguous; 0 dropped exchanges, 0 audit errors``."""
    return (
        f"{run.inbound:,} inbound, {run.outbound:,} outbound; {run.linked:,} linked, {run.uncaused:,} uncaused, "
        f"{run.ambiguous:,} ambiguous; {plural(run.dropped, 'dropped exchange')}, "
        f"{plural(run.audit_errors, 'audit error')}"
    )
