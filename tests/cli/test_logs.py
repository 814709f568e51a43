import logging

from daskml_exec.cli._logs import _LEVELS, quiet_cluster_logs


def levels():
    return {name: logging.getLogger(name).level for name in _LEVELS}


def test_failures_are_silent_and_memory_is_not():
    before = levels()
    with quiet_cluster_logs():
        for name in ("worker", "scheduler", "nanny", "client", "core", "comm.tcp"):
            assert not logging.getLogger(f"distributed.{name}").isEnabledFor(logging.ERROR)
        for name in ("worker.memory", "nanny.memory"):
            assert logging.getLogger(f"distributed.{name}").isEnabledFor(logging.WARNING)
    assert levels() == before
