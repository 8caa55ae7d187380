"""In tmux, as a person sees it: keys are sent, the screen is captured, nothing from the wire reaches the terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_S = 60
VIEWS = {
    "2": "traceparent-dropped",
    "3": "GET /checkout?cart=17",
    "4": "GET inventory/stock/17?w=2",
    "5": "GET config:7000/flags",
    "6": "GET /checkout",
    "1": "payment:8080 POST /charge",
}


class Tmux:
    """One pane, in a server of its own."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self._folder = folder
        self("-f", os.devnull, "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "sh")
        self("set-option", "-g", "set-titles", "on")

    def __call__(self, *words: str) -> str:
        socket = str(self._folder / "tmux")
        done = subprocess.run(["tmux", "-S", socket, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def keys(self, *names: str) -> None:
        self("send-keys", *names)

    def screen(self) -> str:
        return self("capture-pane", "-p")

    def until(self, *texts: str) -> str:
        """The screen when all texts are on it: the line of the keys is drawn a moment after the view."""
        began = time.monotonic()
        while not all(text in (shown := self.screen()) for text in texts):
            assert time.monotonic() - began < PATIENCE_S, f"{texts!r} are not on\n{shown}"
        return shown


@pytest.fixture(params=[(80, 24), (120, 40)], ids=["80x24", "120x40"])
def tmux(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tmux]:
    pane = Tmux(tmp_path, request.param)
    yield pane
    pane("kill-server")


def opened(tmux: Tmux, database: Path) -> None:
    paths = os.pathsep.join(each for each in sys.path if each)
    line = f"clear; PYTHONPATH={shlex.quote(paths)} {sys.executable} -m traceaudit tui {shlex.quote(str(database))}"
    tmux.keys("-l", f"{line}; echo left with $?")
    tmux.keys("Enter")
    tmux.until("payment:8080")


def test_every_view_is_shown_and_left(tmux: Tmux, audit_db: Path) -> None:
    opened(tmux, audit_db)
    for key, text in VIEWS.items():
        tmux.keys(key)
        tmux.until(text, "? Help  q Quit")
    tmux.keys("?")
    tmux.until("One line a call edge")
    tmux.keys("q")  # and no escape: the next key would make it alt and that key
    tmux.keys("2")
    tmux.until("traceparent-dropped")
    tmux.keys("/")
    tmux.until("code:TP001 edge")
    tmux.keys("-l", "code:TP021")
    tmux.keys("Enter")
    tmux.until("1 of 6")
    tmux.keys("q")
    shown = tmux.until("left with 0")
    assert "Findings" not in shown


def test_what_came_over_the_wire_reaches_no_terminal(tmux: Tmux, audit_db: Path) -> None:
    before = tmux("display-message", "-p", "#{pane_title}")
    opened(tmux, audit_db)
    # The request with the hostile headers, its call, its headers in full and in the clipboard.
    tmux.keys("2")
    tmux.until("traceparent-dropped")
    tmux.keys("Enter", "v")
    tmux.until("into the service")
    tmux.keys("/")
    tmux.until("a text to look for")
    tmux.keys("-l", "X-Osc")
    tmux.keys("Enter")
    tmux.until("renamed pane")
    tmux.keys("y")
    tmux.until("h headers")
    tmux.keys("h")
    tmux.until("headers copied")
    tmux.keys("q")
    tmux.until("left with 0")
    assert tmux("display-message", "-p", "#{pane_title}") == before
