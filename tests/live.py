"""`traceaudit run` on the real Go services, as a user starts it: a process of its own, ended by Ctrl-C."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services import LOOPBACK, Service, build, free_port

UPSTREAM_NAME = "upstream.test"
_ATTEMPTS = 4
"""How often a run is started anew because one of its ports was taken."""


@dataclass
class Live:
    """A run that is going on, and once it is over its exit status and what it said."""

    inbound: int
    database: Path
    process: subprocess.Popen[str]
    said: list[str]
    status: int | None = None
    output: str = ""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """Sends a request to the service through the inbound listener; its status."""
        connection = http.client.HTTPConnection(LOOPBACK, self.inbound, timeout=30)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


def traceaudit(*arguments: str | Path, cwd: Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, in a directory and an environment without settings."""
    done = subprocess.run(
        [sys.executable, "-m", "traceaudit", *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert check is None or done.returncode == check, done.stderr + done.stdout
    return done


def environment(home: Path) -> dict[str, str]:
    """This process's environment, with a data directory of the test's own and without settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRACEAUDIT_")}
    root = Path(__file__).parent.parent
    paths = os.pathsep.join(str(root / each) for each in ("", "addons", "tui"))
    return {**kept, "XDG_DATA_HOME": str(home / "data"), "PYTHONPATH": paths, "NO_COLOR": "1"}


def _started(
    folder: Path,
    name: str,
    arguments: Sequence[str],
    *,
    upstream: Service | None,
    url: str,
    options: Sequence[str],
    program: Sequence[str],
    binary: Path | None,
) -> Live:
    """A run whose listeners are open; its ports are chosen anew when somebody else took one in the meantime."""
    for _ in range(_ATTEMPTS):
        inbound, outbound, port = free_port(), free_port(), free_port()
        database = folder / "audit.db"
        command = [*program, "run", "--db", str(database)]
        command += ["--inbound", f"{inbound}:{port}", "--outbound", str(outbound)]
        if upstream is not None:
            command += ["--route", f"{UPSTREAM_NAME}={LOOPBACK}:{upstream.port}"]
        command += [*options, "--", str(binary or build([name])[name]), *arguments]
        command += ["-listen", f"{LOOPBACK}:{port}", "-upstream", url]
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        live = Live(inbound, database, process, [])
        assert process.stderr is not None
        for line in process.stderr:
            live.said.append(line)
            if line.startswith("audit "):
                return live
        said = "".join(live.said)
        process.communicate()
        if not any(words in said for words in ("already in use", "already, so")):
            break
    raise RuntimeError(f"the run ended with status {process.returncode}: {said}")


@contextmanager
def run(
    folder: Path,
    name: str,
    *arguments: str,
    upstream: Service | None = None,
    url: str = f"http://{UPSTREAM_NAME}",
    options: Sequence[str] = (),
    program: Sequence[str] = (sys.executable, "-m", "traceaudit"),
    binary: Path | None = None,
) -> Iterator[Live]:
    """Audits a service of tests/services with ``program``; leaving the block is the user's Ctrl-C. ``binary`` is where
    the service has been copied to, if it has been.
    """
    live = _started(
        folder, name, arguments, upstream=upstream, url=url, options=options, program=program, binary=binary
    )
    process = live.process
    try:
        yield live
        process.send_signal(signal.SIGINT)
        live.output, rest = process.communicate(timeout=60)
        live.said.append(rest)
        live.status = process.returncode
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
