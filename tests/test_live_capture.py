"""Every client by every way of capture: a call is captured, or it is reported as not captured; none goes unsaid."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live import Live, environment, traceaudit
from tests.redirecting import alone
from tests.services import LOOPBACK, Service, build, free_port, running
from traceaudit import packet_filters, redirection

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="connections are looked at in /proc")
needs_redirection = pytest.mark.skipif(redirection.obstacle() is not None, reason=str(redirection.obstacle()))

# Root becomes nobody, who may read what belongs to root (the interpreter may), and nothing else that others may not.
_READS = "-all,+dac_read_search"
NOBODY = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    f"--inh-caps={_READS}",
    f"--ambient-caps={_READS}",
]
if os.geteuid() != 0:
    NOBODY = []


def no_pod() -> str:
    """Why an unprivileged process cannot make a pod here; empty: it can."""
    if NOBODY and shutil.which("setpriv") is None:
        return "there is no setpriv to become nobody with"
    ask = "from traceaudit import pod; print(pod.obstacle() or '')"
    root = Path(__file__).parent.parent
    done = subprocess.run([*NOBODY, sys.executable, "-c", ask], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()[-200:]


needs_pods = pytest.mark.skipif("no_pod()", reason="no pod can be made here without root")

BYPASS = "error     CP001 upstream-bypasses-proxy"


def only_nft(folder: Path) -> dict[str, str]:
    """A PATH on which there is no iptables: of what the tool starts, this is all."""
    for name in ("nft", "ip", "setpriv"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name}")
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / name).symlink_to(found)
    return {"PATH": str(folder / "bin")}


KINDS = ("default", "bare", "grpc", "tls", "localhost", "ip6", "websocket")


@dataclass
class Backend:
    """One upstream of its own for each client, so that a connection tells whose it is."""

    service: Service
    port: int
    """Of the protocol that the client speaks."""


@contextmanager
def upstreams(folder: Path) -> Iterator[dict[str, Backend]]:
    with ExitStack() as stack:
        found = {}
        for kind in KINDS:
            port = free_port()
            more = {
                "grpc": ["-grpc", f"{LOOPBACK}:{port}"],
                "tls": ["-tls", f"{LOOPBACK}:{port}", "-roots", str(folder / "roots.pem")],
                "ip6": ["-also", f"[::1]:{port}"],
            }.get(kind)
            service = stack.enter_context(running("backends", *(more or [])))
            found[kind] = Backend(service, port if more else service.port)
        yield found


@contextmanager
def audited(
    folder: Path, *options: str, environ: Mapping[str, str] | None = None, as_nobody: bool = False
) -> Iterator[Live]:
    inbound, port = free_port(), free_port()
    words = [*(NOBODY if as_nobody else []), sys.executable, "-m", "traceaudit", "run", "--db", "audit.db"]
    words += ["--outbound", "0", "--inbound", f"{inbound}:{port}", *options, "--"]
    binary = build(["callers"])["callers"]
    if as_nobody:
        binary = Path(shutil.copy(binary, folder))
    process = subprocess.Popen(
        [*words, str(binary), "-listen", f"{LOOPBACK}:{port}"],
        cwd=folder,
        env={**environment(folder), **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    live = Live(inbound, folder / "audit.db", process, [])
    try:
        until(live, "audit ")
        yield live
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        live.output, rest = process.communicate(timeout=60)
        live.said.append(rest)
        live.status = process.returncode
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


@contextmanager
def nobodys_folder() -> Iterator[Path]:
    """A folder that belongs to nobody, below none that only root may enter: in a pod nobody has such rights left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if NOBODY:
            os.chown(folder, 65534, 65534)
        yield folder


def until(live: Live, beginning: str) -> str:
    assert live.process.stderr is not None
    for line in live.process.stderr:
        live.said.append(line)
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the run ended with status {live.process.wait()}: {''.join(live.said)}")


def call(live: Live, with_: str, to: str) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, live.inbound, timeout=30)
    try:
        connection.request("GET", f"/call?with={with_}&to={quote(to, safe='')}")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"ok\n"), f"{with_} {to}"
    finally:
        connection.close()


def calls(backends: Mapping[str, Backend], where: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What each client is told to call: the client's name and the target; ``where`` has other places than the own."""

    def at(kind: str, host: str) -> str:
        return where.get(kind, f"{host}:{backends[kind].port}")

    return {
        "default": ("default", f"http://{at('default', 'default.test')}/cell/default"),
        "bare": ("bare", f"http://{at('bare', LOOPBACK)}/cell/bare"),
        "grpc": ("grpc", at("grpc", "passthrough:///grpc.test")),
        "tls": ("default", f"https://{at('tls', 'tls.test')}/cell/tls"),
        "localhost": ("default", f"http://{at('localhost', 'localhost')}/cell/localhost"),
        "ip6": ("default", f"http://{at('ip6', '[::1]')}/cell/ip6"),
        "websocket": ("websocket", f"ws://{at('websocket', LOOPBACK)}/socket"),
    }


def seen(folder: Path) -> tuple[set[str], set[str]]:
    """The paths that were called, and the addresses that were reported as not captured."""
    lines = traceaudit("export", "audit.db", cwd=folder).stdout.splitlines()
    exchanges = [json.loads(line) for line in lines]
    paths = {each["path"] for each in exchanges if each.get("direction") == "outbound"}
    report = json.loads(traceaudit("report", "audit.db", "--format", "json", cwd=folder, check=None).stdout)
    return paths, {each["observed"].split()[4].rstrip(",") for each in report["findings"] if each["code"] == "CP001"}


def path_of(kind: str) -> str:
    return {"grpc": "/grpc.health.v1.Health/Check", "websocket": "/socket"}.get(kind, f"/cell/{kind}")


ROUTED = ("default", "grpc", "tls")


@pytest.mark.parametrize(
    ("capture", "captured"),
    [
        ("env", {"default", "grpc", "tls"}),
        ("listeners", {"default", "bare", "grpc", "localhost", "websocket"}),
        pytest.param("redirect", set(KINDS), marks=needs_redirection),
        pytest.param("redirect by nft", set(KINDS), marks=needs_redirection),
        pytest.param("pod", set(KINDS), marks=needs_pods),
        pytest.param("pod by nft", set(KINDS), marks=needs_pods),
    ],
    ids=["env", "listeners", "redirect", "redirect by nft", "pod", "pod by nft"],
)
def test_every_client_is_captured_or_reported(capture: str, captured: set[str]) -> None:
    in_pod, by_nft = capture.startswith("pod"), capture.endswith("nft")
    with nobodys_folder() as tmp_path, upstreams(tmp_path) as backends:
        capture = "redirect" if in_pod or by_nft else capture
        options, where = ["--capture", capture], {}
        if capture == "listeners":
            for kind in sorted(captured):
                port = free_port()
                options += ["--upstream", f"{kind}={port}:{backends[kind].port}"]
                where[kind] = f"localhost:{port}"
            where["tls"] = f"{LOOPBACK}:{backends['tls'].port}"
        else:
            for kind in ROUTED:
                options += ["--route", f"{kind}.test={LOOPBACK}:{backends[kind].port}"]
        if capture == "redirect":
            where["grpc"] = "grpc.test:50051"
        environ = {"SSL_CERT_FILE": str(tmp_path / "roots.pem"), **(only_nft(tmp_path) if by_nft else {})}
        with audited(tmp_path, *options, environ=environ, as_nobody=in_pod) as live:
            assert in_pod == any(line.startswith("capture   redirect, in a pod") for line in live.said)
            for with_, to in calls(backends, where).values():
                call(live, with_, to)
            for _ in range(len(KINDS) - len(captured)):
                until(live, BYPASS)
        hosts = {kind: f"{'[::1]' if kind == 'ip6' else LOOPBACK}:{backends[kind].port}" for kind in KINDS}
        paths, bypasses = seen(tmp_path)
    assert {kind for kind in KINDS if path_of(kind) in paths} == captured
    assert bypasses == {hosts[kind] for kind in KINDS if kind not in captured}
    assert live.status == (0 if len(captured) == len(KINDS) else 3)


@needs_redirection
def test_auto_takes_redirection_where_it_works_and_says_so(tmp_path: Path) -> None:
    with running("upstream") as upstream, audited(tmp_path, "--capture", "auto") as live:
        assert any(line.startswith("capture   redirect") for line in live.said)
        call(live, "bare", f"{upstream.url}/cell/bare")
    assert seen(tmp_path) == ({"/cell/bare"}, set())


def test_a_service_of_somebody_else_cannot_be_redirected(tmp_path: Path) -> None:
    said = traceaudit("proxy", "--inbound", "0:8080", "--capture", "redirect", cwd=tmp_path, check=2).stderr
    assert "only a service that `traceaudit run` starts" in said


@needs_redirection
def test_a_protocol_in_which_the_server_speaks_first_works_under_redirection(tmp_path: Path) -> None:
    port = free_port()
    with (
        running("backends", "-banner", f"{LOOPBACK}:{port}") as backend,
        audited(tmp_path, "--capture", "redirect") as live,
    ):
        call(live, "banner", f"{LOOPBACK}:{port}")
        call(live, "bare", f"{backend.url}/cell/bare")
    assert seen(tmp_path) == ({"/cell/bare"}, set())


@needs_redirection
def test_an_upstream_that_is_not_there_is_recorded_with_its_error(tmp_path: Path) -> None:
    with audited(tmp_path, "--capture", "redirect") as live:
        nobody = free_port()
        assert live.get(f"/call?with=bare&to={quote(f'http://{LOOPBACK}:{nobody}/cell/bare', safe='')}") in (200, 502)
    assert seen(tmp_path) == ({"/cell/bare"}, set())


def ours() -> list[str]:
    """The chains and cgroups of runs, whoever made them."""
    root = redirection.hierarchy()
    assert root is not None
    named = {name for each in packet_filters.every() for name in each.names() if name.startswith(redirection.PREFIX)}
    return sorted(named | {each.name for each in root.glob(f"{redirection.PREFIX}*")})


@needs_redirection
@pytest.mark.parametrize("program", ["iptables", "nft"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_however_it_ends(how: signal.Signals, program: str, tmp_path: Path) -> None:
    environ = only_nft(tmp_path) if program == "nft" else {}
    with alone():
        with running("upstream") as upstream, audited(tmp_path, "--capture", "redirect", environ=environ) as live:
            call(live, "bare", f"{upstream.url}/cell/bare")
            of_this_run = [name for name in ours() if name.startswith(f"{redirection.PREFIX}{live.process.pid}-")]
            assert len(of_this_run) == 1
            live.process.send_signal(how)
            live.process.wait(30)
        if how is signal.SIGKILL:
            assert of_this_run[0] in redirection.leftovers()
            traceaudit("doctor", "--fix", cwd=tmp_path, check=None)
        assert [name for name in ours() if name in of_this_run] == []


@needs_pods
def test_in_a_pod_the_service_is_who_it_was_and_nothing_is_left(tmp_path: Path) -> None:
    with nobodys_folder() as folder, running("upstream") as upstream:
        with audited(folder, "--capture", "redirect", as_nobody=True) as live:
            call(live, "bare", f"{upstream.url}/cell/bare")
            callers = [pid for pid in descendants(live.process.pid) if name_of(pid) == "callers"]
            uids = Path(f"/proc/{callers[0]}/status").read_text().split("Uid:")[1].split()[:4]
            assert set(uids) == {"65534" if NOBODY else str(os.getuid())}
            assert Path(f"/proc/{callers[0]}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
            everybody = descendants(live.process.pid)
            live.process.kill()
            live.process.wait(30)
            deadline = time.monotonic() + 30
            while any(is_alive(pid) for pid in everybody):
                assert time.monotonic() < deadline
        assert seen(folder)[0] == {"/cell/bare"}


@needs_pods
def test_in_a_pod_a_listener_in_front_of_an_upstream_can_be_called() -> None:
    port = free_port()
    with nobodys_folder() as folder, running("upstream") as upstream:
        options = ["--capture", "redirect", "--upstream", f"inventory={port}:{upstream.port}"]
        with audited(folder, *options, as_nobody=True) as live:
            call(live, "bare", f"http://localhost:{port}/cell/bare")
        lines = [json.loads(line) for line in traceaudit("export", "audit.db", cwd=folder).stdout.splitlines()]
        assert [each["path"] for each in lines if each.get("direction") == "outbound"] == ["/cell/bare"]


def descendants(pid: int) -> list[int]:
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def is_alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@needs_redirection
@pytest.mark.parametrize("program", ["iptables", "nft"])
def test_the_service_alone_is_redirected(program: str, tmp_path: Path) -> None:
    environ = only_nft(tmp_path) if program == "nft" else {}
    with running("upstream") as upstream, audited(tmp_path, "--capture", "redirect", environ=environ) as live:
        with socket.create_connection((LOOPBACK, upstream.port)) as direct:
            direct.sendall(b"GET /direct HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert direct.recv(15).startswith(b"HTTP/1.1 200")
        call(live, "bare", f"{upstream.url}/cell/bare")
    assert seen(tmp_path) == ({"/cell/bare"}, set())
