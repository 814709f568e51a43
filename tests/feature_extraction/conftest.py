import logging

import pytest

from daskml_exec import Executor


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(autouse=True)
def quiet_workers(caplog):
    """Workers log every error of a task with its traceback, and many tests here ask for one."""
    caplog.set_level(logging.CRITICAL, logger="distributed.worker")
