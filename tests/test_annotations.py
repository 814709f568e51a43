"""Annotations may name what only newer releases of Dask know: they are never evaluated at import.

`distributed.Future` is generic since 2025.12 only, so that ``Future[Any]`` fails below, unless it
stands in an annotation of a module that begins with ``from __future__ import annotations``.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("daskml_exec", "tests", "asv_bench")
    for path in (ROOT / folder).rglob("*.py")
]


def evaluated(source: str) -> list[int]:
    """Lines at which a subscripted class of Dask is evaluated, at import or later."""
    tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    from_dask = {
        alias.asname or alias.name
        for node in imports
        if node.module.split(".")[0] in {"dask", "distributed"}
        for alias in node.names
        if alias.name[0].isupper()
    }
    postponed = any(node.module == "__future__" for node in imports)
    subscripts = {
        node: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in from_dask
    }
    if postponed:
        for annotation in _annotations(tree):
            for node in ast.walk(annotation):
                subscripts.pop(node, None)
    return sorted(subscripts.values())


def _annotations(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.returns
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation


def test_no_annotation_of_dask_is_evaluated():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(SOURCES)
        for line in evaluated(path.read_text("utf-8"))
    ]
    assert not found, (
        "begin these modules with 'from __future__ import annotations':\n" + "\n".join(found)
    )


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from distributed import Future\ndef f(x: Future[int]): ...", [2]),
        ("from distributed import Future\ndef f() -> list[Future[int]]: ...", [2]),
        ("from __future__ import annotations\nfrom distributed import Future\nx: Future[int]", []),
        (
            "from __future__ import annotations\nfrom distributed import Future\nX = Future[int]",
            [3],
        ),
        ("from concurrent.futures import Future\nx: Future[int]", []),
    ],
)
def test_rule(source, lines):
    assert evaluated(source) == lines
