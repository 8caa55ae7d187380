"""Builds the demo's Go shop, once a version of its source."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from platformdirs import user_cache_path

SOURCE = Path(__file__).parent / "shop"


class BuildError(Exception):
    """The shop could not be built; the message is what Go said."""


def build(go: Path) -> Path:
    """The shop's binary, built with this toolchain if it is not there yet."""
    digest = hashlib.sha256(str(go).encode())
    for file in sorted([*SOURCE.glob("*.go"), SOURCE / "go.mod"]):
        digest.update(file.read_bytes())
    # Its name is on every screen and report.
    folder = user_cache_path("traceaudit", appauthor=False) / "demo" / digest.hexdigest()[:12]
    binary = folder / "shop"
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{binary.name}.{os.getpid()}"
    # The shop has no dependencies: nothing may be fetched, neither modules nor another toolchain.
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOWORK": "off"}
    built = subprocess.run(
        [go, "build", "-trimpath", "-o", fresh, "."],
        cwd=SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if built.returncode != 0:
        raise BuildError(built.stderr.strip() or f"go build ended with status {built.returncode}")
    fresh.replace(binary)
    return binary
