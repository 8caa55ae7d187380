"""Under redirection the service behaves byte for byte as without: a checksum over every protocol at once."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import run
from tests.services import LOOPBACK, build, free_port, running
from tests.test_live_capture import NOBODY, needs_redirection, no_pod, nobodys_folder, seen

SEEDS = range(3)
KINDS = {"sized", "chunked", "tls", "grpc", "websocket", "banner", "line"}


@dataclass
class Upstreams:
    arguments: list[str]
    roots: Path
    banner: int
    line: int


@contextmanager
def upstreams(folder: Path) -> Iterator[Upstreams]:
    tls, banner, line = free_port(), free_port(), free_port()
    roots = folder / "roots.pem"
    more = ["-tls", f"{LOOPBACK}:{tls}", "-roots", str(roots), "-banner", f"{LOOPBACK}:{banner}"]
    with running("backends", *more, "-line", f"{LOOPBACK}:{line}") as backends, running("grpc") as shop:
        roots.chmod(0o644)
        arguments = ["-http", backends.url, "-tls", f"https://{LOOPBACK}:{tls}", "-grpc", f"{LOOPBACK}:{shop.port}"]
        arguments += ["-banner", f"{LOOPBACK}:{banner}", "-line", f"{LOOPBACK}:{line}"]
        yield Upstreams(arguments, roots, banner, line)


def sums(port: int) -> list[dict[str, str]]:
    """What the service has received of each kind of traffic, for each seed."""
    answers = []
    for seed in SEEDS:
        with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=60)) as connection:
            connection.request("GET", f"/load?seed={seed}")
            answers.append(json.loads(connection.getresponse().read()))
    return answers


@pytest.mark.parametrize("way", [pytest.param("root", marks=needs_redirection), "pod"])
def test_every_byte_is_what_it_would_be_without(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "pod" and (why := no_pod()):
        pytest.skip(why)
    with nobodys_folder() as folder, upstreams(folder) as there:
        monkeypatch.setenv("SSL_CERT_FILE", str(there.roots))
        with running("mixed", *there.arguments) as service:
            without = sums(service.port)
        program = [*(NOBODY if way == "pod" else ()), sys.executable, "-m", "traceaudit"]
        binary = Path(shutil.copy(build(["mixed"])["mixed"], folder))
        options = ["--capture", "redirect"]
        with run(folder, "mixed", *there.arguments, url="", options=options, program=program, binary=binary) as live:
            audited = sums(live.inbound)
        paths, bypasses = seen(folder)
    assert all(answer.keys() == KINDS for answer in without)
    assert not [each for answer in without for each in answer.values() if each.startswith("error")]
    assert audited == without
    # All of it was audited but for the two protocols that are no HTTP, which is said.
    shop = {f"/shop.v1.Shop/{name}" for name in ("Echo", "Fail", "Collect", "List", "Talk", "Wait", "Ended")}
    assert paths == {"/mirror?q=a+b%20c;d&q", "/socket", *shop}
    assert bypasses == set()
    for port in (there.banner, there.line):
        assert re.search(rf"{LOOPBACK}:{port}  unknown protocol \(not HTTP\), \d+ connection", live.output)
    assert live.status == 0
