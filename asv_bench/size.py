"""Lines of code of each folder of the package: without docstrings, comments and blank lines.

``cd asv_bench; python -m size`` counts the files and lines of this checkout's `daskml_exec`, for
each of its top folders; ``python -m size ../../other`` puts the counts of another checkout, or of
another folder `daskml_exec`, before them, so that before and after can be compared. A line counts
where a token of it stands: each of a statement's lines, or of a string's that is no docstring.
"""

import argparse
import ast
import io
import tokenize
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parents[1]
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


class Size(NamedTuple):
    """How large a folder is."""

    files: int = 0
    lines: int = 0

    def plus(self, lines: int) -> "Size":
        return Size(self.files + 1, self.lines + lines)


def code_lines(source: str) -> int:
    """Return how many lines of a module have code on them.

    Strings that stand alone count as docstrings wherever they are, as those of attributes do.
    """
    documented = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    coded = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(coded - documented)


def sizes(path: Path) -> dict[str, Size]:
    """Return the sizes of the top folders of a package, or of a checkout with one."""
    package = path / "daskml_exec" if (path / "daskml_exec").is_dir() else path
    found: defaultdict[str, Size] = defaultdict(Size)
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).parts
        layer = parts[0] if len(parts) > 1 else "."
        found[layer] = found[layer].plus(code_lines(file.read_text("utf-8")))
    if not found:
        raise ValueError(f"path={str(path)!r} has no Python files; allowed is a checkout of them")
    return dict(found)


def table(after: dict[str, Size], before: dict[str, Size] | None = None) -> str:
    """Return the counts in lines, beside those of before if there are any."""
    columns = [after] if before is None else [before, after]
    columns = [{**column, "all": _total(column)} for column in columns]
    names = sorted(set().union(*columns), key=lambda name: (name == "all", name))
    head = "".join(f" {'files':>6} {'lines':>7}" for _ in columns)
    lines = [f"{'':16}{head}" + ("" if before is None else f" {'change':>7}")]
    for name in names:
        found = [column.get(name, Size()) for column in columns]
        line = f"{name:16}" + "".join(f" {each.files:6} {each.lines:7,}" for each in found)
        if before is not None:
            line += f" {found[1].lines - found[0].lines:+7,}"
        lines.append(line)
    return "\n".join(lines)


def _total(column: dict[str, Size]) -> Size:
    return Size(*(sum(each) for each in zip(*column.values(), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", nargs="?", type=Path, help="another checkout or package")
    before = parser.parse_args().before
    print(table(sizes(HERE), None if before is None else sizes(before)))


if __name__ == "__main__":
    main()
