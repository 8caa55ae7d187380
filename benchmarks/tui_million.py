"""How the inspector takes a million exchanges: in a real terminal, beside Datasette or harlequin opening the same file.

    python benchmarks/tui_million.py [--db million.db] [--datasette PROGRAM] [--harlequin PROGRAM]

Without ``--db`` the file is made first, in a temporary folder. The inspector runs in a pseudo-terminal of 120×40: its
first paint is when the verdict on the run is on the screen, a key is answered when the first of what it changes has
been written. Memory is the process's peak (``VmHWM``).
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tui_million_database import build

LIMITS = {"first paint": 1.5, "slowest key": 0.1, "filter without an index": 1.0}  # seconds
MEMORY_MIB = 150
SILENCE_S = 0.05
# Backspace goes back as escape does, for which a terminal's program has to wait whether a sequence follows.
KEYS = [
    "2", "j", "j", "k", "G", "g", "e", "\r", "l", "l", "e", "v", "w", "\x7f", "\x7f",
    "3", "j", "G", "k", "g", " ", "\x06", "e", "\r", "j", "\r", "\x7f", "\x7f",
    "4", "j", "G", "k", "g", " ", "e", "e", "y", "q", "m", "m", "?", "q", "5", "1", "j", "l", "e",
]  # fmt: skip


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, *command: str, **more: str) -> None:
        """``more``: variables of its environment."""
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 120))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **more}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.seen = ""

    def read(self, patience_s: float) -> bool:
        """Whether something was written within so many seconds."""
        if not select.select([self.ours], [], [], patience_s)[0]:
            return False
        try:
            data = os.read(self.ours, 1 << 20)
        except OSError:
            return False
        self.seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
        return True

    def until(self, pattern: str, patience_s: float = 120) -> float:
        """Seconds from now until a text is on the screen."""
        began = time.perf_counter()
        while not re.search(pattern, self.seen):
            if not self.read(patience_s) or time.perf_counter() - began > patience_s:
                raise TimeoutError(f"{pattern!r} did not appear: {self.seen[-500:]!r}")
        return time.perf_counter() - began

    def press(self, keys: str) -> tuple[float, float]:
        """Seconds until the first answer, and until the last one."""
        self.seen = ""
        began = last = time.perf_counter()
        os.write(self.ours, keys.encode())
        first = None
        # A key that changes nothing (the last row, once more) writes nothing.
        while self.read(0.5 if first is None else SILENCE_S):
            last = time.perf_counter()
            first = first or last - began
        return first or 0.0, last - began

    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]  # Linux has it

    def close(self) -> None:
        self.process.terminate()
        while self.process.poll() is None:
            self.read(0.1)  # a terminal that nobody reads keeps its program from leaving in order
        os.close(self.ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", type=Path, help="a file of tui_million_database.py")
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--occurrences", type=int, default=50_000)
    parser.add_argument("--datasette", help="the program, to be measured too")
    parser.add_argument("--harlequin", help="as above")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.db or Path(folder) / "million.db"
        if arguments.db is None:
            build(path, arguments.exchanges, arguments.occurrences)
        inspector(path)
        if arguments.datasette:
            datasette(path, arguments.datasette)
        if arguments.harlequin:
            harlequin(path, arguments.harlequin)


def inspector(path: Path) -> None:
    terminal = Terminal(sys.executable, "-m", "traceaudit", "tui", str(path))
    try:
        terminal.until("reading|error", 60)
        print(f"inspector  first lines              {time.perf_counter() - terminal.began:7.3f} s")
        terminal.until(r"\d errors?", 60)
        report("first paint", time.perf_counter() - terminal.began)
        terminal.until("dropped|restarted", 60)
        print(f"inspector  matrix                   {time.perf_counter() - terminal.began:7.3f} s")
        answers: list[tuple[float, float, str]] = []
        for key in KEYS:
            first, last = terminal.press(key)
            answers.append((first, last, repr(key)))
        first, second, third = sorted(answers, reverse=True)[:3]
        report("slowest key", first[0], f"   ({first[2]}; then {second[2]} {second[0]:.3f}, {third[2]} {third[0]:.3f})")
        print(f"inspector  median key               {sorted(answers)[len(answers) // 2][0]:7.3f} s")
        _, last, key = max(answers, key=lambda answer: answer[1])
        print(f"inspector  last of an answer        {last:7.3f} s   (key {key})")
        terminal.press("4")
        for text, name in (
            ("path:*9999*", "filter without an index"),
            ("items/99999", "filter by text"),
            ("code:TP021", "filter by finding"),
            ("header:traceparent=*abcdef*", "filter by header"),
            ("outcome:dropped", "filter by outcome"),
            ("upstream:mail outcome:leaked", "two terms"),
        ):
            terminal.press("/")
            terminal.press("\x15")  # empties the line
            terminal.press(text)
            terminal.seen = ""
            began = time.perf_counter()
            os.write(terminal.ours, b"\r")
            terminal.until("so far|found", 60)
            shown = time.perf_counter() - began
            terminal.until("found", 120)
            whole = time.perf_counter() - began
            report(name, whole if name in LIMITS else shown, f"   (whole {whole:.3f} s)   {text}")
            slowest = max(terminal.press(key)[0] for key in ("G", "g", "j"))
            print(f"inspector    slowest key in it      {slowest:7.3f} s")
        peak = terminal.peak_mib()
        print(f"inspector  peak memory              {peak:7.1f} MiB  (wanted: at most {MEMORY_MIB})")
    finally:
        terminal.close()


def report(name: str, seconds: float, more: str = "") -> None:
    wanted = f"  (wanted: at most {LIMITS[name]} s)" if name in LIMITS else ""
    print(f"inspector  {name:24} {seconds:7.3f} s{wanted}{more}", flush=True)


def datasette(path: Path, program: str) -> None:
    """The first page of the exchanges, and the same text looked for; its limit of a second is lifted."""
    port = "18001"
    began = time.perf_counter()
    command = [program, "serve", str(path), "--port", port, "--setting", "sql_time_limit_ms", "60000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            base = f"http://127.0.0.1:{port}/{path.stem}"
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/-/versions.json").read()
                    break
                except OSError:
                    time.sleep(0.02)
            urllib.request.urlopen(f"{base}/exchanges?_size=40").read()
            print(f"datasette  first page               {time.perf_counter() - began:7.3f} s")
            for name, query in (("filter by path", "path__contains=9999"), ("next page", "_size=40&_next=o100000-0")):
                began = time.perf_counter()
                urllib.request.urlopen(f"{base}/exchanges?_size=40&{query}").read()
                print(f"datasette  {name:24} {time.perf_counter() - began:7.3f} s")
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]  # Linux has it
            print(f"datasette  peak memory              {peak:7.1f} MiB", flush=True)
        finally:
            process.terminate()


def harlequin(path: Path, program: str) -> None:
    """Until its catalogue is shown, and all exchanges in its table of results."""
    with tempfile.TemporaryDirectory() as folder:  # else it goes on with the query of its last session
        places = {"XDG_CACHE_HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_DATA_HOME": folder}
        terminal = Terminal(program, "--adapter", "sqlite", "--no-download-tzdata", str(path), **places)
        _harlequin(terminal)


def _harlequin(terminal: Terminal) -> None:
    try:
        terminal.until("Query Editor|exchanges", 60)
        print(f"harlequin  first paint              {time.perf_counter() - terminal.began:7.3f} s")
        until = time.perf_counter() + 5  # its catalogue and a blinking cursor
        while time.perf_counter() < until:
            terminal.read(0.1)
        terminal.press("select * from exchanges where path like '%9999%' ")
        terminal.seen = ""
        began = time.perf_counter()
        os.write(terminal.ours, b"\x0a")  # ctrl+j runs it
        terminal.until("executed successfully|/items/", 60)
        print(f"harlequin  the same filter          {time.perf_counter() - began:7.3f} s")
        print(f"harlequin  peak memory              {terminal.peak_mib():7.1f} MiB", flush=True)
    except TimeoutError as error:
        print(f"harlequin  {error}")
    finally:
        terminal.close()


if __name__ == "__main__":
    main()
