import pytest

from daskml_exec import Executor


@pytest.fixture(scope="module", autouse=True)
def executor():
    """The cluster that every test of a module trains on."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor
