import pytest

from daskml_exec import Executor


@pytest.fixture(scope="module")
def executor(prompt_clients):
    """The cluster that the tests of a module train on, if they ask for it."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor
