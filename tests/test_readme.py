"""What the README and the pages of `docs/` show: it runs, it is short, links lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.scripts import output_of

README = (ROOT / "README.md").read_text()
OWN_ALGORITHM = (ROOT / "docs" / "write-your-own-algorithm.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)[^)]*\)")

# Of worker processes that start from nothing the README's own lines have two.
FORKED = {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver"}


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in FENCED.findall(text) if name == language]


def words(output: str) -> list[str]:
    """Numbers differ from machine to machine; what is said does not."""
    return re.sub(r"\d[\d.,e+-]*", "#", output).split()


def test_its_length():
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = LINK.findall(page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    for number, block in enumerate(blocks(page.read_text(), "python")):
        compile(block, f"{page.name}, block {number}", "exec")


def test_the_picture_is_small():
    pictures = list((ROOT / "docs" / "pictures").glob("*.svg"))
    assert pictures and all(path.stat().st_size < 150_000 for path in pictures)


def test_the_lines_of_python_print_what_is_shown(tmp_path: Path):
    """In an empty folder, as a newcomer runs them: the first block and the text behind it."""
    shown = blocks(README, "text")[0]
    (tmp_path / "script.py").write_text(blocks(README, "python")[0])
    output = output_of("script.py", cwd=tmp_path, timeout=120, PYTHONWARNINGS="error")
    assert words(output) == words(shown)
    assert float(output.split()[0]) == pytest.approx(float(shown.split()[0]))


def test_the_page_on_own_algorithms_runs(tmp_path: Path):
    """From top to bottom on worker processes, as in a notebook, which has no file either."""
    code = "\n".join(blocks(OWN_ALGORITHM, "python"))
    output_of("-c", code, cwd=tmp_path, timeout=300, PYTHONWARNINGS="error", **FORKED)
