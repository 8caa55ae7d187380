"""The one sentence on top of every screen: what the audit says of a run. Silence must never look like all is well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from traceaudit.exchange import Confidence, Severity
from traceaudit.safe import safe
from traceaudit_tui.rows import Summary
from traceaudit_tui.signs import ERROR, GOOD, NOTE, WARNING, Part, plural, severity_sign


@dataclass(frozen=True, slots=True)
class Verdict:
    """``word`` is one of empty, inconclusive, errors, warnings, notes, partly clean, clean."""

    word: str
    sign: str
    style: str
    sentence: str

    @property
    def spoken(self) -> str:
        """The sentence by itself, safe."""
        words = safe(self.sentence.removeprefix("empty: "))
        end = "" if "http://" in words else "."  # an address is copied from here
        return f"{words[:1].upper()}{words[1:]}{end}"


def verdict(summary: Summary) -> Verdict:
    """What a run amounts to. Ambiguous findings accuse nobody, and what was not linked was not judged."""
    inconclusive = _inconclusive(summary)
    tally = Counter(f.severity for f in summary.findings if f.confidence != Confidence.AMBIGUOUS)
    ambiguous = sum(f.confidence == Confidence.AMBIGUOUS for f in summary.findings)
    words = [plural(tally[severity], severity.value) for severity in Severity if tally[severity]]
    if ambiguous:
        words.append(f"{ambiguous} ambiguous")
    if tally[Severity.ERROR]:
        return Verdict("errors", "✘", f"bold {ERROR}", ", ".join(words))
    if tally[Severity.WARNING]:
        return Verdict("warnings", "▲", f"bold {WARNING}", ", ".join(words))
    if inconclusive:
        notes = f" ({', '.join(words)})" if words else ""
        return Verdict(inconclusive[0], "?", f"bold {WARNING}", inconclusive[1] + notes)
    if summary.findings:
        return Verdict("notes", "•", f"bold {NOTE}", ", ".join(words))
    counts = summary.counts
    judged = counts.proven + counts.probable
    if counts.undecided or counts.ambiguous:
        unsure = counts.outbound - counts.uncaused - judged
        sentence = f"nothing found in {judged:,} of {plural(counts.outbound, 'call')}; {unsure:,} not surely linked"
        return Verdict("partly clean", "?", f"bold {WARNING}", sentence)
    return Verdict("clean", "✓", f"bold {GOOD}", f"clean: nothing found in {plural(judged, 'linked call')}")


def _inconclusive(summary: Summary) -> tuple[str, str] | None:
    """The word and the sentence, when too little was seen to say that all is well."""
    counts = summary.counts
    if summary.run is None or not (counts.inbound or counts.outbound):
        if summary.run is not None and summary.run.ended_ns is None and summary.run.inbound:
            # Short, for it has to fit the smallest screen: it is what is to be done next.
            return "empty", f"empty so far: send requests to http://{safe(summary.run.inbound)}"
        return "empty", "empty: nothing has come through the proxy yet"
    if not counts.outbound:
        seen = plural(counts.inbound, "request")
        return "inconclusive", f"inconclusive: {seen}, but no outbound call was seen"
    if not counts.proven + counts.probable:
        return "inconclusive", f"inconclusive: {plural(counts.outbound, 'call')}, none surely linked to a request"
    return None


def tallies(summary: Summary) -> list[list[Part]]:
    """What was seen, in three lengths, the longest first."""
    counts = summary.counts
    muted = "$text-muted"
    seen = f"{plural(counts.inbound, 'request')}, {plural(counts.outbound, 'call')}"
    links = [f"{counts.proven:,} proven", f"{counts.probable:,} probable", f"{counts.ambiguous:,} ambiguous"]
    links = [words for words in links if not words.startswith("0 ")]
    links += [f"{counts.uncaused:,} uncaused"] * bool(counts.uncaused)
    links += [f"{counts.undecided:,} undecided"] * bool(counts.undecided)
    return [
        [(seen + (": " + ", ".join(links) if links else ""), muted)],
        [(f"{seen}, {counts.linked:,} linked", muted)],
        [(seen, muted)],
    ]


def finding_tally(summary: Summary) -> list[Part]:
    """The findings by severity, as signs and numbers."""
    tally = Counter(f.severity for f in summary.findings)
    parts: list[Part] = []
    for severity in Severity:
        if tally[severity]:
            sign = severity_sign(severity)
            parts += [(f"{sign.sign} {tally[severity]}", sign.style), (" ", "")]
    return parts
