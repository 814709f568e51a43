"""A task that was cancelled while it runs ends at its next stop point."""

import threading

from daskml_exec.kernels.stop_points import stop_point
from tests.executor.gates import PATIENCE, Attempts, Gate


def test_a_cancelled_task_ends_at_its_next_stop_point(executor):
    beginning, ended = Gate(), Gate()

    def work():
        beginning.pass_through()
        try:
            while True:
                stop_point()
        finally:
            ended.open()
            ended.pass_through()

    with beginning:
        future = executor.submit(work)
        beginning.wait_until_reached()
        assert future.cancel()
    ended.wait_until_reached()
    assert executor.submit(pow, 2, 3).result(timeout=PATIENCE) == 8


def test_a_task_that_is_wanted_goes_on(executor):
    attempts = Attempts()

    def work():
        for _ in range(100):
            stop_point()
        return attempts.add()

    assert executor.submit(work).result(timeout=PATIENCE) == 1


def test_a_thread_of_a_task_is_no_task(executor):
    def work():
        raised = []

        def look():
            try:
                stop_point()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return raised

    assert executor.submit(work).result(timeout=PATIENCE) == []
