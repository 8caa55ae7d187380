"""`traceaudit doctor` answers each question with yes or no, and says what to type where something is missing."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from mitmproxy.certs import CertStore

from tests.live import traceaudit
from tests.redirecting import alone
from tests.services import LOOPBACK, free_port, running
from traceaudit import doctor, redirection
from traceaudit.packet_filters import Rules
from traceaudit.redirection import PREFIX, Redirection
from traceaudit.store.writer import AuditWriter
from traceaudit_addons import certificates

needs_redirection = pytest.mark.skipif(redirection.obstacle() is not None, reason=str(redirection.obstacle()))


def answers(tmp_path: Path, *arguments: str, status: int = 0) -> dict[str, tuple[str, str]]:
    """The answers while no other test has left anything behind."""
    with alone():
        return asked(tmp_path, *arguments, status=status)


def asked(tmp_path: Path, *arguments: str, status: int = 0) -> dict[str, tuple[str, str]]:
    """Each question's answer and what stands beside and below it."""
    output = traceaudit("doctor", *arguments, cwd=tmp_path, check=status).stdout
    found: dict[str, tuple[str, str]] = {}
    question = ""
    for line in output.splitlines():
        if match := re.match(r"(yes|no|\?) +(\S+(?: \S+)*?)  +(.*)", line):
            question = match[2]
            found[question] = (match[1], match[3])
        else:
            assert line.strip().startswith("→")
            found[question] = (found[question][0], f"{found[question][1]} {line.strip()}")
    return found


def ports() -> list[str]:
    return ["--inbound", f"{free_port()}:{free_port()}", "--outbound", str(free_port())]


def test_a_fresh_machine_has_all_that_a_run_needs(tmp_path: Path) -> None:
    found = answers(tmp_path, *ports())
    assert {found[each][0] for each in ("tidy", "clock", "disk")} == {"yes"}
    assert found["proxy honoured"][0] == found["certificate"][0] == found["service"][0] == "?"
    assert sum(question.startswith("port ") for question in found) == 2


def test_a_port_that_is_taken_is_named_with_its_holder_and_the_option(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        found = answers(tmp_path, "--inbound", f"{port}:{free_port()}", "--outbound", str(free_port()), status=1)
    answer, why = found[f"port {port}"]
    assert answer == "no"
    assert f"(process {os.getpid()})" in why
    assert "choose another with --inbound" in why


def test_a_service_without_the_proxy_is_told_how_to_start(tmp_path: Path) -> None:
    outbound = free_port()
    with running("nethttp", env={"HTTP_PROXY": "", "http_proxy": ""}) as service:
        arguments = ["--inbound", f"{free_port()}:{service.port}", "--outbound", str(outbound)]
        found = answers(tmp_path, *arguments, status=1)
        assert "nethttp" in found["service"][1]
        assert found["proxy honoured"][0] == "no"
        assert f"HTTPS_PROXY=http://127.0.0.1:{outbound}" in found["proxy honoured"][1]


def test_the_latest_run_tells_whether_the_proxy_was_honoured(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path / "audit.db", started_ns=1)
    writer.close(2)
    assert answers(tmp_path, *ports())["proxy honoured"][1].startswith("run 1 saw no call and no bypass")
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as db:
        db.execute("insert into edges values (1, 1, '', '127.0.0.1:9001', '')")
        db.execute("insert into findings (run_id, edge_id, code) values (1, 1, 'CP001')")
    answer, why = answers(tmp_path, *ports(), status=1)["proxy honoured"]
    assert answer == "no"
    assert "127.0.0.1:9001" in why
    assert "traceaudit rule CP001" in why


def test_a_clock_before_what_has_happened_is_wrong(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path / "audit.db", started_ns=time.time_ns() + 3600 * 10**9)
    writer.close(time.time_ns() + 7200 * 10**9)
    check = doctor.clock(tmp_path / "audit.db")
    assert check.answer is False
    assert "when the latest run ended" in check.why


def test_a_folder_that_is_not_there_is_no_place_for_a_database(tmp_path: Path) -> None:
    check = doctor.disk(tmp_path / "none" / "audit.db")
    assert (check.answer, check.remedy) == (False, f"mkdir -p {tmp_path / 'none'}")


def test_a_key_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    for name in ("mitmproxy-ca.pem", "mitmproxy-ca-cert.pem"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    assert "can be read by others" in doctor.certificate(tmp_path, tmp_path / "bundle.pem", None).why
    (tmp_path / "mitmproxy-ca.pem").chmod(0o600)
    assert "is no certificate" in doctor.certificate(tmp_path, tmp_path / "bundle.pem", None).why


def test_a_service_that_does_not_trust_the_authority_is_told_how_to_start(tmp_path: Path) -> None:
    """It is named a file that makes it trust the authority, and one that `run` has started is not told to."""
    folder = tmp_path / "data" / "traceaudit" / "authority"
    folder.mkdir(parents=True)
    CertStore.from_store(folder, "mitmproxy", 2048)
    bundle, outbound = certificates.bundle(folder, certificates.roots({})), free_port()
    for trusted, answer in (("", "no"), (str(bundle), "yes")):
        with running(
            "nethttp", env={"SSL_CERT_FILE": trusted, "HTTP_PROXY": f"http://{LOOPBACK}:{outbound}"}
        ) as service:
            arguments = ["--inbound", f"{free_port()}:{service.port}", "--outbound", str(outbound)]
            found = answers(tmp_path, *arguments, status=1 if answer == "no" else 0)
        assert found["certificate"][0] == answer
        told = re.search(r"start it with SSL_CERT_FILE=(\S+)", found["certificate"][1])
        assert (told is None) == (answer == "yes")
        assert told is None or (folder / "mitmproxy-ca-cert.pem").read_bytes().strip() in Path(told[1]).read_bytes()


@needs_redirection
def test_what_a_killed_run_left_is_found_and_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    with alone():
        left_behind(tmp_path)


def left_behind(tmp_path: Path) -> None:
    # No process has this number: the kernel's largest is 4,194,304.
    orphan, mine = Redirection(Rules(9), f"{PREFIX}4999999-{os.getpid():x}"), Redirection(Rules(9))
    try:
        orphan.set_up()
        mine.set_up()
        answer, why = asked(tmp_path, *ports(), status=1)["tidy"]
        assert answer == "no"
        assert orphan.name in why
        assert mine.name not in why
        assert f"removed {orphan.name}" in traceaudit("doctor", "--fix", *ports(), cwd=tmp_path).stderr
        assert not orphan.group.exists()
        assert mine.group.exists()
        assert orphan.name not in redirection.leftovers()
    finally:
        orphan.remove()
        mine.remove()
    assert not mine.group.exists()


@needs_redirection
def test_this_machine_redirects() -> None:
    assert redirection.captures() is None
