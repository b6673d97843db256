"""The command line. Each command has a file of its own: it parses, calls the engine, and prints.

The engine loads when a command runs, through the lazy names of `sensorium`, so that `--help` stays quick.
"""

from sensorium.cli.app import app, main

__all__ = ["app", "main"]
