"""What this process has open, by name: other threads open and close other files."""

import os
from contextlib import suppress
from pathlib import Path


def open_files(beginning: str) -> list[str]:
    """Return what is open and begins so; nothing where the system does not tell."""
    found = []
    folder = Path("/proc/self/fd")
    for each in folder.iterdir() if folder.exists() else ():
        with suppress(OSError):
            found.append(os.readlink(each))
    return [name for name in found if name.startswith(beginning)]


def memory_files() -> set[str]:
    """Return the names of open memory files."""
    return set(open_files("/memfd:"))
