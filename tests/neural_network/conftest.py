import dask
import pytest

from daskml_exec import Executor
from tests.neural_network.block_fits import bits, blocks, fit, replicas, threads


@pytest.fixture(scope="module")
def executor():
    """The cluster that the tests of a module train on, if they ask for it."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def short_segments():
    """Of few steps each, every one of them committed.

    Dask workers that were about to fetch a partition from one that has gone try for half a minute
    to reach it; here, for a second.
    """
    with dask.config.set(
        {
            "daskml-exec.commit-interval": "0s",
            "daskml-exec.segment-duration": "1ms",
            "distributed.comm.timeouts.connect": "1s",
        }
    ):
        yield


@pytest.fixture
def three_workers():
    """For tests that close some."""
    with threads(3) as both:
        yield both


@pytest.fixture(scope="module")
def two_workers():
    """For tests in which none is lost."""
    with threads(2) as (_, executor):
        yield executor


@pytest.fixture(scope="module")
def undisturbed_blocks(short_segments):
    """The bits of fits on one worker that lives."""
    with threads(1):
        return {kind: bits(fit(kind())) for kind in (blocks, replicas)}
