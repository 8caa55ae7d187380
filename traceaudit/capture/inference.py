"""Has the times of a window asked: here, or in a process of its own, so that nobody waits for it meanwhile.

The process is started with ``python -m traceaudit.capture.inference``. It reads windows from its standard input and
writes their answers to its standard output, each as its length (8 bytes) and JSON; it ends when its input does, as it
does when whoever started it dies. Windows depend on those before them, so both are used for one run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from traceaudit.correlation.records import Call, Candidate, Request
from traceaudit.correlation.windows import Window

if TYPE_CHECKING:
    from traceaudit.audit import Audit
    from traceaudit.correlation.inference import Decider
    from traceaudit.store.writer import AuditWriter

LENGTH = struct.Struct("!Q")

SHOWN = 8
"""Candidates of one call that are told; those that are less likely than all of these say nothing to anybody."""

type Answers = Mapping[str, Sequence[Candidate]]


class Here:
    """Looks where it is called: for a recording, where nobody waits."""

    def __init__(self) -> None:
        self._decider: Decider | None = None

    def look(self, audit: Audit, writer: AuditWriter) -> None:
        """Revises what is to be revised by now."""
        while audit.looks:
            if self._decider is None:
                from traceaudit.correlation.inference import Decider  # noqa: PLC0415  (most audits need none)

                self._decider = Decider()
            look = audit.looks.popleft()
            for revision in audit.revise(look, _shown(self._decider.decide(look.window))):
                writer.revise(revision)


def packed_window(window: Window) -> bytes:
    """A window as bytes."""
    return _packed(
        {
            "requests": [(each.id, each.route, each.started_ns, each.ended_ns) for each in window.requests],
            "calls": [
                (each.id, each.edge, each.started_ns, each.ended_ns, each.known, each.hint) for each in window.calls
            ],
            "asked": sorted(window.asked),
        }
    )


def unpacked_answers(packed: bytes) -> Answers:
    """The answers that a process has given."""
    return {
        id_: [Candidate(inbound_id, probability, evidence) for inbound_id, probability, evidence in candidates]
        for id_, candidates in json.loads(packed).items()
    }


def _unpacked_window(packed: bytes) -> Window:
    found = json.loads(packed)
    return Window(
        tuple(Request(*each) for each in found["requests"]),
        tuple(
            Call(id_, edge, started_ns, ended_ns, None if known is None else (known[0],), hint and (hint[0], hint[1]))
            for id_, edge, started_ns, ended_ns, known, hint in found["calls"]
        ),
        frozenset(found["asked"]),
    )


def _packed_answers(answers: Answers) -> bytes:
    return _packed(
        {
            id_: [(each.inbound_id, each.probability, each.evidence) for each in candidates]
            for id_, candidates in answers.items()
        }
    )


def _packed(value: object) -> bytes:
    packed = json.dumps(value).encode()
    return LENGTH.pack(len(packed)) + packed


def _shown(answers: Answers) -> Answers:
    """The likeliest candidates of each call, and nothing."""
    return {
        id_: [each for rank, each in enumerate(candidates) if rank < SHOWN or each.inbound_id is None]
        for id_, candidates in answers.items()
    }


def serve(windows: BinaryIO, answers: BinaryIO) -> None:
    """Answers windows until there are no more."""
    from traceaudit.correlation.inference import Decider  # noqa: PLC0415  (as above)

    decider = Decider()
    while len(head := windows.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        answers.write(_packed_answers(_shown(decider.decide(_unpacked_window(windows.read(length))))))
        answers.flush()


def _let_others_go_first() -> None:
    """Takes only the time that nobody else wants: the service that is audited is one of these."""
    os.nice(19)
    # A session is weighed against others by a value of its own, and we have one: what is nice counts within it only.
    # https://man7.org/linux/man-pages/man7/sched.7.html, "The autogroup feature"
    with contextlib.suppress(OSError):  # Other systems do not have it, or this one does not do so.
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")


if __name__ == "__main__":
    _let_others_go_first()
    gc.disable()  # A window makes millions of small tuples and no cycles: looking for some takes a fifth of the time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us; we end with our input.
    serve(sys.stdin.buffer, sys.stdout.buffer)
