"""The command line: ``daskml-exec train FILE``."""

from daskml_exec.cli._main import main

__all__ = ["main"]
