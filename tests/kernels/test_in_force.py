"""Settings that blocks of code change for the whole process."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, dataclass

import pytest

from daskml_exec.kernels.in_force import InForce


@dataclass(frozen=True)
class Settings:
    one: int = 1
    two: int = 2


@pytest.fixture
def settings():
    return InForce(Settings())


def test_blocks_are_nested(settings):
    with settings.changed(one=10):
        with settings.changed(two=20, one=11):
            assert settings.now == Settings(11, 20)
        assert settings.now == Settings(10, 2)
    assert settings.now == Settings()


def test_all_threads_see_them(settings):
    with settings.changed(one=10), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: settings.now).result() == Settings(10, 2)


def test_blocks_that_overlap_leave_the_usual_ones(settings):
    """As in two threads: the first to begin is the first to end."""
    first, second = settings.changed(one=10), settings.changed(two=20)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert settings.now == Settings(1, 20)
    second.__exit__(None, None, None)
    assert settings.now == Settings()


def test_an_exception_ends_a_block(settings):
    with pytest.raises(LookupError), settings.changed(one=10):
        raise LookupError
    assert settings.now == Settings()


def test_a_name_that_there_is_not(settings):
    with pytest.raises(TypeError, match="three"), settings.changed(one=10, three=3):
        pass
    assert settings.now == Settings()
    with pytest.raises(FrozenInstanceError):
        settings.now.one = 3
