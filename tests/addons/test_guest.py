"""The audit as a guest in a mitmdump that the user starts."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from pathlib import Path

from tests.live import UPSTREAM_NAME, environment, traceaudit
from tests.services import LOOPBACK, free_port, running

ROOT = Path(__file__).parent.parent.parent
MITMDUMP = Path(sys.executable).parent / "mitmdump"


def test_a_mitmdump_with_the_addon_audits(tmp_path: Path) -> None:
    inbound, outbound = free_port(), free_port()
    proxied = {"HTTP_PROXY": f"http://{LOOPBACK}:{outbound}", "NO_PROXY": "", "no_proxy": ""}
    with (
        running("upstream") as upstream,
        running("nethttp", "-upstream", f"http://{UPSTREAM_NAME}", env=proxied) as service,
    ):
        routes = {"TRACEAUDIT_ROUTES": f"{UPSTREAM_NAME}={LOOPBACK}:{upstream.port}"}
        process = subprocess.Popen(
            [MITMDUMP, "-s", ROOT / "addons" / "traceaudit_addon.py", "--set", "traceaudit_db=guest.db",
             "--mode", f"reverse:http://{LOOPBACK}:{service.port}@{LOOPBACK}:{inbound}",
             "--mode", f"regular@{LOOPBACK}:{outbound}", "--set", f"confdir={tmp_path}"],
            cwd=tmp_path, env=environment(tmp_path) | routes,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            answered = None
            while answered is None:
                assert process.poll() is None, process.stdout and process.stdout.read()
                try:
                    connection = http.client.HTTPConnection(LOOPBACK, inbound, timeout=10)
                    connection.request("GET", "/drop/17")
                    answered = connection.getresponse().status
                except ConnectionError:
                    continue
            assert answered == 200
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
    assert "ddon error" not in output
    assert "rror in script" not in output
    shown = traceaudit("check", "guest.db", cwd=tmp_path, check=1).stdout
    assert f"TP001 traceparent-dropped  GET /drop/{{id}} → {UPSTREAM_NAME} GET /drop/{{id}}" in shown
