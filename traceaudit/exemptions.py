"""Findings that do not count: exempted by the configuration, each with a reason, or known from a baseline.

An exemption names a rule and a call edge, and may end on a date; from then on the finding counts again and is told of.
A baseline lists findings as they were: what is not in it is new.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from traceaudit.store.reader import FindingRow


def edge_of(finding: FindingRow) -> str:
    """A finding's edge as exemptions and baselines write it: ``GET /checkout -> pricing GET /quote``."""
    return f"{finding.inbound_route} -> {finding.outbound_authority} {finding.outbound_route}"


@dataclass(frozen=True, slots=True)
class Exemption:
    """Findings of these rules on these edges do not count; ``until`` ``None``: for good."""

    rules: str
    """A code or the beginning of codes, as in ``--select``."""
    edge: str
    """A pattern of :func:`edge_of`: ``*`` stands for anything, ``?`` for one character."""
    reason: str
    until: date | None = None
    """The last day on which it holds."""

    def covers(self, finding: FindingRow) -> bool:
        """Whether this is about such a finding, ended or not."""
        fits = self.rules.upper() == "ALL" or finding.code.startswith(self.rules.upper())
        return fits and fnmatchcase(edge_of(finding), self.edge)

    def ended(self, today: date) -> bool:
        """Whether it no longer holds."""
        return self.until is not None and today > self.until

    def __str__(self) -> str:
        return f"{self.rules} on {self.edge} ({self.reason})"


def exempted(
    findings: Iterable[FindingRow], exemptions: Sequence[Exemption], today: date
) -> tuple[list[FindingRow], list[tuple[FindingRow, Exemption]], list[Exemption]]:
    """The findings that count, those that do not with the reason, and the exemptions that have ended but would cover
    something.
    """
    counting: list[FindingRow] = []
    covered: list[tuple[FindingRow, Exemption]] = []
    ended: dict[Exemption, None] = {}
    for finding in findings:
        fitting = [each for each in exemptions if each.covers(finding)]
        holding = next((each for each in fitting if not each.ended(today)), None)
        if holding is not None:
            covered.append((finding, holding))
            continue
        counting.append(finding)
        ended.update(dict.fromkeys(fitting))
    return counting, covered, list(ended)


class BaselineError(ValueError):
    """A file is no baseline; the message is for people."""


def read_baseline(path: Path) -> frozenset[tuple[str, str]]:
    """The codes and edges of a baseline. Raises BaselineError, and OSError where the file cannot be read."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["findings"]
        return frozenset((str(row["code"]), str(row["edge"])) for row in rows)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BaselineError(f"{path} is not a baseline: `traceaudit check --write-baseline` makes one") from error


def write_baseline(path: Path, findings: Collection[FindingRow]) -> None:
    """Writes what is known now, sorted, so that it makes small differences under version control."""
    rows = sorted({(each.code, edge_of(each)) for each in findings})
    listed = [{"code": code, "edge": edge} for code, edge in rows]
    path.write_text(json.dumps({"version": 1, "findings": listed}, indent=2) + "\n", encoding="utf-8")
