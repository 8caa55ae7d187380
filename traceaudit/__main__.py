"""Runs the command line: ``python -m traceaudit``."""

from traceaudit.commands import main

if __name__ == "__main__":
    main(prog_name="traceaudit")
