"""Examines the machine and the service: what an audit needs, each with yes or no, why, and what to type."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from traceaudit import pod, redirection
from traceaudit.config import Settings
from traceaudit.connections import listener_of
from traceaudit.listeners import Address, Listener

_ENOUGH = 256 * 2**20
"""Bytes; a hundred thousand exchanges take about 150 MB."""

_SLACK_S = 120.0
"""Seconds by which clocks and file systems may disagree."""

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Check:
    """One question. ``answer`` ``None``: it cannot be told yet. ``vital`` False: a run can do without."""

    question: str
    answer: bool | None
    why: str
    remedy: str = ""
    vital: bool = True


def examine(
    settings: Settings, listeners: Sequence[Listener], target: Address | None, authority: Path, bundle: Path | None
) -> list[Check]:
    """Every check there is. ``authority`` is the folder of the certificate authority, ``bundle`` the file that makes a
    service trust it; ``None``: there is none yet.
    """
    service = listener_of(target.port) if target is not None and sys.platform == "linux" else None
    return [
        redirects(vital=settings.capture == "redirect"),
        left_behind(),
        *ports(listeners, target, service),
        honours_the_proxy(settings, listeners, service),
        certificate(authority, bundle, service),
        clock(settings.db),
        disk(settings.db),
        watches(),
    ]


def redirects(*, vital: bool) -> Check:
    """Whether the kernel can bring every connection to the audit; tried with a process of our own."""
    why = redirection.captures()
    if why is None:
        return Check("redirect", True, "the kernel redirects a process's connections; --capture redirect works")
    in_pod = pod.obstacle()
    if in_pod is None:
        return Check("redirect", True, "in a network of the service's own, without root; --capture redirect works")
    if redirection.is_root():
        in_pod = why
    why = in_pod
    reason, _, remedy = why.partition(": ")
    return Check("redirect", False, reason, remedy, vital=vital)


def left_behind() -> Check:
    """Whether a run that was killed has left rules or cgroups."""
    names = redirection.leftovers() if sys.platform == "linux" else []
    if not names:
        return Check("tidy", True, "no run has left a rule or a cgroup behind")
    return Check("tidy", False, f"killed runs have left {', '.join(names)} behind", "traceaudit doctor --fix")


def ports(listeners: Sequence[Listener], target: Address | None, service: int | None) -> Iterator[Check]:
    """Whether our listeners can be opened, and whether somebody listens where the service should."""
    for each in listeners:
        address, question = each.listen, f"port {each.listen.port}"
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[
                0
            ]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
        except OSError as error:
            holder = f" by {_program(pid)}" if (pid := listener_of(address.port)) else ""
            why = (
                f"{address} ({each.kind.value}) is taken{holder}"
                if error.errno == 98
                else f"{address}: {error.strerror}"
            )
            yield Check(question, False, why, f"choose another with {OPTIONS[each.kind.value]}, or end what has it")
        else:
            yield Check(question, True, f"{address} ({each.kind.value}) is free")
    if target is not None:
        if service is not None:
            why = f"{_program(service)} listens on {target}: for `traceaudit proxy`; `run` would start its own"
            yield Check("service", None, why)
        else:
            yield Check("service", None, f"nobody listens on {target}: `traceaudit run` starts the service")


OPTIONS: Mapping[str, str] = {
    "inbound": "--inbound",
    "proxy": "--outbound",
    "redirect": "--outbound",
    "upstream": "--upstream",
}


def honours_the_proxy(settings: Settings, listeners: Sequence[Listener], service: int | None) -> Check:
    """Whether the service's calls come to the audit: by its environment if it runs, else by the latest run."""
    question = "proxy honoured"
    proxies = [each.listen.port for each in listeners if each.kind.value == "proxy"]
    environ = _environ(service) if service is not None else None
    if environ is not None and proxies:
        named = environ.get("HTTP_PROXY") or environ.get("http_proxy") or ""
        if not any(f":{port}" in named for port in proxies):
            return Check(
                question,
                False,
                f"{_program(service or 0)} runs {f'with HTTP_PROXY={named}' if named else 'without HTTP_PROXY'}",
                f"start it with HTTP_PROXY=http://127.0.0.1:{proxies[0]} HTTPS_PROXY=http://127.0.0.1:{proxies[0]}",
            )
    latest = _latest(settings.db)
    if latest is None:
        return Check(question, None, "no run has shown it yet", "traceaudit run --inbound 15006:8080 -- ./my-service")
    run, calls, bypasses = latest
    if bypasses:
        return Check(
            question,
            False,
            f"run {run} saw connections round the audit: {', '.join(bypasses)}",
            "traceaudit rule CP001",
        )
    if not calls:
        return Check(
            question, None, f"run {run} saw no call and no bypass", "send the service a request that makes it call"
        )
    return Check(question, True, f"run {run} saw {calls:,} calls and nothing that went round the audit")


def certificate(folder: Path, bundle: Path | None, service: int | None) -> Check:
    """Whether our authority is there, kept private and valid, and named to a service that runs already."""
    question = "certificate"
    key, public = folder / "mitmproxy-ca.pem", folder / "mitmproxy-ca-cert.pem"
    if bundle is None or not public.exists():
        return Check(question, None, "the first run makes an authority, and names it to the service in SSL_CERT_FILE")
    if key.exists() and key.stat().st_mode & 0o077:
        return Check(question, False, f"{key} can be read by others", f"chmod 600 {key}")
    from cryptography import x509  # noqa: PLC0415  (a tenth of a second that other checks need not wait for)

    try:
        ends = x509.load_pem_x509_certificate(public.read_bytes()).not_valid_after_utc
    except ValueError:
        return Check(question, False, f"{public} is no certificate", f"rm -r {folder}: the next run makes another")
    if ends < datetime.now(UTC):
        return Check(question, False, f"the authority's certificate ended on {ends:%Y-%m-%d}", f"rm -r {folder}")
    environ = _environ(service) if service is not None else None
    if environ is not None and not _holds(environ.get("SSL_CERT_FILE"), public):
        return Check(
            question,
            False,
            f"{_program(service or 0)} does not trust it, so its calls over TLS fail",
            f"start it with SSL_CERT_FILE={bundle}",
        )
    return Check(question, True, f"valid until {ends:%Y-%m-%d}; a service that `run` starts trusts it by SSL_CERT_FILE")


def _holds(trusted: str | None, public: Path) -> bool:
    """Whether a file of roots has the authority's certificate among them, whoever has made it."""
    try:
        return trusted is not None and public.read_bytes().strip() in Path(trusted).read_bytes()
    except OSError:
        return False


def clock(db: Path) -> Check:
    """Whether the clock goes right, as far as this machine can tell: not before what has happened already."""
    now = time.time()
    marks = {"traceaudit was installed": Path(__file__).stat().st_mtime}
    latest = _scalar(db, "select max(coalesce(ended_ns, started_ns)) from runs")
    if isinstance(latest, int):
        marks["the latest run ended"] = latest / 1e9
    for what, at in marks.items():
        if now < at - _SLACK_S:
            behind = timedelta(seconds=round(at - now))
            return Check(
                "clock", False, f"it is {behind} behind the moment when {what}", "set it: timedatectl set-ntp true"
            )
    return Check("clock", True, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, after all that it has to be after")


def disk(db: Path) -> Check:
    """Whether the audit database can be written, and for how long."""
    folder = db.absolute().parent
    if not folder.is_dir():
        return Check("disk", False, f"{folder} is not there", f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK) or (db.exists() and not os.access(db, os.W_OK)):
        return Check("disk", False, f"{db} cannot be written", "choose another file with --db")
    free = shutil.disk_usage(folder).free
    if free < _ENOUGH:
        return Check(
            "disk", False, f"{free / 2**20:,.0f} MiB are free in {folder}", "free some, or choose another with --db"
        )
    return Check("disk", True, f"{free / 2**30:,.1f} GiB are free in {folder}")


def watches() -> Check:
    """Whether connections that go round the audit can be seen."""
    if sys.platform != "linux":
        return Check("bypass seen", False, "connections of a process are known on Linux only", vital=False)
    if not (PROC / "self" / "net" / "tcp").exists():
        return Check("bypass seen", False, "/proc/self/net/tcp is not there", "mount -t proc proc /proc", vital=False)
    return Check("bypass seen", True, "connections that go round the audit are seen in /proc (CP001)")


# --- what they ask ----------------------------------------------------------------------------------------------------


def _program(pid: int) -> str:
    try:
        return f"{(PROC / str(pid) / 'comm').read_text(errors='replace').strip()} (process {pid})"
    except OSError:
        return f"process {pid}"


def _environ(pid: int) -> dict[str, str] | None:
    """What a process was started with; ``None``: it is not ours to read."""
    try:
        content = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    pairs = (each.decode("utf-8", "replace").partition("=") for each in content.split(b"\0"))
    return {name: value for name, sign, value in pairs if sign}


def _latest(db: Path) -> tuple[int, int, list[str]] | None:
    """The latest run, how many calls it saw, and the addresses that bypassed it; ``None``: there is none."""
    run = _scalar(db, "select max(id) from runs")
    if not isinstance(run, int):
        return None
    calls = _scalar(db, "select count(*) from exchanges where run_id = ? and direction = 'outbound'", run)
    addresses = _scalar(
        db,
        "select group_concat(outbound_authority, char(10)) from findings join edges on edges.id = edge_id"
        " where findings.run_id = ? and code = 'CP001'",
        run,
    )
    return run, calls if isinstance(calls, int) else 0, str(addresses).split("\n") if addresses else []


def _scalar(db: Path, sql: str, *parameters: object) -> object:
    """One value of the audit database; ``None``: there is no such file, or it is something else."""
    if not db.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{db.absolute()}?mode=ro", uri=True)) as connection:
            row = connection.execute(sql, parameters).fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row else None
