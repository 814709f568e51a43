"""Print the oldest releases that `pyproject.toml` allows, as constraints for pip.

    python .ci/oldest.py > oldest.txt
    pip install -c oldest.txt -e '.[numba,security]'

Every dependency of the package and of its extras that says ``>=`` gives one line ``name==bound``.
Extras named as arguments are left out: those with tools whose age nobody depends on.
"""

import re
import sys
import tomllib
from pathlib import Path

BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?\s*>=\s*(?P<version>[\w.]+)")


def constraints(pyproject: Path, without: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines, in the order of the file; the same name twice must say the same."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    groups = [project["dependencies"], *(extras[name] for name in extras if name not in without)]
    lines: dict[str, str] = {}
    for requirement in (line for group in groups for line in group):
        found = BOUND.fullmatch(requirement)
        if found is None:
            if requirement.startswith(f"{project['name']}["):
                continue
            raise SystemExit(f"{requirement!r} has no lower bound of the form name>=version")
        name, version = found["name"], found["version"]
        if lines.setdefault(name, version) != version:
            raise SystemExit(f"{name} has two lower bounds: {lines[name]} and {version}")
    return [f"{name}=={version}" for name, version in lines.items()]


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    print(*constraints(root / "pyproject.toml", frozenset(sys.argv[1:])), sep="\n")
