"""Exit statuses and the errors that end a command with them; DESIGN 9."""

from __future__ import annotations

from enum import IntEnum

import click

from traceaudit.safe import safe


class Status(IntEnum):
    """What a command ends with, everywhere."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    INCONCLUSIVE = 3
    BAD_INPUT = 4
    INTERRUPTED = 130


class _Failure(click.ClickException):
    """An error whose message, a sentence for people, goes to standard error; hostile text in it is escaped."""

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(safe(line, None) for line in message.splitlines()))


class UsageFailure(_Failure):
    """Wrong usage or configuration that click could not see: a missing file, an unknown key, a port that is taken."""

    exit_code = Status.USAGE


class BadInputFailure(_Failure):
    """The input is there, but is not what it should be."""

    exit_code = Status.BAD_INPUT
