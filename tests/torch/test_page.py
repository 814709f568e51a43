"""What `docs/pytorch-modules.md` shows runs, from top to bottom, as in a notebook."""

import pytest

from tests.conftest import ROOT
from tests.scripts import output_of
from tests.test_readme import blocks

PAGE = (ROOT / "docs" / "pytorch-modules.md").read_text()


@pytest.mark.slow
def test_the_page_runs(tmp_path):
    code = "\n".join(blocks(PAGE, "python"))
    output = output_of("-c", code, cwd=tmp_path, timeout=300, PYTHONWARNINGS="error")
    assert "['a 0' 'a 1' 'a 2']" in output
