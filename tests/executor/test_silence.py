"""What Dask says while one of our clusters closes, and what it says otherwise."""

import logging

import pytest

from daskml_exec.executor._silence import closing_is_no_news

SAID = [
    ("distributed.worker.state_machine", "Async instruction for <Task> ended with CancelledError"),
    ("distributed.worker", "Failed to communicate with scheduler during heartbeat."),
    (
        "distributed.worker",
        "Could not close executor <Pool> by dispatching to thread.",
    ),
    ("distributed.batched", "Batched Comm Closed <TCP>"),
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
