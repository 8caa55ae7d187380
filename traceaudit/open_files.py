"""Lets the proxy have as many connections open as the system allows, and the service no more than without it.

Each open connection is an open file, and the usual limit for those is 1,024, which a process may raise by itself.
"""

from __future__ import annotations

import sys
from contextlib import suppress

if sys.platform != "win32":
    import resource

    _GIVEN = resource.getrlimit(resource.RLIMIT_NOFILE)

    def raise_limit() -> None:
        """Raises this process's limit as far as it may; where it may not, all stays as it is."""
        most = _GIVEN[1]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        except (OSError, ValueError):
            # macOS says "unlimited" and means OPEN_MAX, 10,240; its setrlimit(2) says so under COMPATIBILITY.
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(_GIVEN[0], 10_240), most))

    def given_limit() -> None:
        """Puts the limit back that this process was started with."""
        resource.setrlimit(resource.RLIMIT_NOFILE, _GIVEN)

else:

    def raise_limit() -> None:
        """There is no such limit."""

    def given_limit() -> None:
        """There is no such limit."""
