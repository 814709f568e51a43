"""What Dask says while one of our clusters closes, and what it says otherwise."""

import logging
import threading
from types import SimpleNamespace

import distributed.utils
import pytest

from daskml_exec.executor import Executor
from daskml_exec.executor._silence import closing_is_no_news

SAID = [
    ("distributed.worker.state_machine", "Async instruction for <Task> ended with CancelledError"),
    ("distributed.worker", "Failed to communicate with scheduler during heartbeat."),
    (
        "distributed.worker",
        "Could not close executor <Pool> by dispatching to thread.",
    ),
    ("distributed.nanny", "Worker process still alive after 4.0 seconds, killing"),
    (
        "distributed.scheduler",
        "Removing worker 'inproc://1' caused the cluster to lose already computed task(s)",
    ),
]


@pytest.mark.parametrize(("name", "text"), SAID)
def test_complaints_of_closing_are_passed_over(caplog, name, text):
    logger = logging.getLogger(name)
    with closing_is_no_news(), closing_is_no_news():
        logger.warning(text)
    with closing_is_no_news():
        logger.warning(text)
        logger.warning("something else")
    logger.warning("after " + text)
    assert caplog.messages == ["something else", "after " + text]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("distributed.batched", "Batched Comm Closed <TCP>"),
        ("distributed.comm.inproc", "Closing dangling queue in <InProc>"),
        ("distributed.comm.tcp", "Closing dangling stream in <TCP>"),
    ],
)
def test_what_is_noticed_only_after_the_close_is_no_news_either(caplog, name, text):
    logger = logging.getLogger(name)
    with closing_is_no_news():
        logger.warning(text)
    logger.warning(text)
    logger.warning("something else")
    assert caplog.messages == ["something else"]


def test_as_python_ends_it_stays_silent(run_script):
    done = run_script("""
import atexit, logging
from daskml_exec.executor._silence import closing_is_no_news

def close():
    with closing_is_no_news():
        pass
    logging.getLogger("distributed.worker").warning("Could not close executor")
    logging.getLogger("distributed.worker").warning("this is news")

logging.basicConfig(format="%(message)s")
atexit.register(close)
""")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("this is news") == 1 and "Could not close" not in done.stderr


def test_results_that_are_still_wanted_as_a_cluster_closes_are_no_news(caplog):
    executor = Executor(processes=False, n_workers=2)
    client = executor.client
    wanted = client.submit(pow, 2, 2)
    wanted.result()
    client.cluster.close()
    executor.shutdown()
    assert caplog.messages == []


class Interrupted(threading.Event):
    """Of a call that Ctrl-C stops as soon as it waits."""

    def wait(self, timeout=None):
        raise KeyboardInterrupt


def test_an_interrupt_before_a_call_has_begun_is_no_news(caplog, monkeypatch):
    async def nothing():
        pass

    def fails():
        raise NameError("of something else")

    with Executor(processes=False, n_workers=1) as executor:
        loop = executor.client.loop
        busy = threading.Event()
        loop.add_callback(busy.wait)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            events = SimpleNamespace(Event=Interrupted, get_ident=threading.get_ident)
            patch.setattr(distributed.utils, "threading", events)
            distributed.utils.sync(loop, nothing)
        loop.add_callback(fails)
        busy.set()
        distributed.utils.sync(loop, nothing)
    (news,) = caplog.records
    assert "fails" in news.getMessage()
