"""The command line. Each command has a file of its own: it parses, calls the engine, and prints.

The engine loads when a command runs, through the lazy names of `sensorium`, so that `--help` stays quick.
"""

import sys

try:
    from sensorium.cli.interrupts import keep_interrupts

    keep_interrupts()
    from sensorium.cli.app import app, main
except KeyboardInterrupt:  # before there is a command that could say so
    sys.exit(130)

__all__ = ["app", "main"]
