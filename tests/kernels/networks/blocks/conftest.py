"""Settings for tests of blocks."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread, as tasks do: the bits depend on it, and workers here are threads."""
    with threadpool_limits(1, user_api="blas"):
        yield
