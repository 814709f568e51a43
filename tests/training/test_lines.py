"""What is printed of a fit under way, with a clock that the test sets."""

import threading

import pytest

from daskml_exec.training import Reached, RoundEvent, RoundLines, RoundRecord
from daskml_exec.training._lines import TimeLeft, duration
from tests.training.toolbox import OPENING, fitting


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def told():
    return []


def event(
    number, *, reached=None, loss=0.5, gradient=None, score=None, seconds=1.0, lost=0, **named
):
    record = RoundRecord(
        round=number,
        step="train",
        loss=loss,
        gradient_norm=gradient,
        seconds=seconds,
        bytes_out=1,
        bytes_back=1,
        workers=1,
        busiest_seconds=seconds,
        workers_lost=lost,
        tasks_recomputed=3 * lost,
        retries=0,
        score=score,
        scores=named,
    )
    return RoundEvent(record, lambda: None, reached)


def test_each_round_has_a_line_with_the_epoch_and_the_time_left(clock, told):
    with fitting(RoundLines(write=told.append, clock=clock)) as lines:
        assert told == [OPENING]  # before any round
        lines(event(0, reached=Reached("epoch", 0.5, 10), seconds=2.0))
        lines(event(1, reached=Reached("epoch", 1.0, 10), seconds=2.0))
        lines(event(2, reached=Reached("epoch", 1.0, 10), loss=None, score=0.75, seconds=0.5))
        lines(event(3, reached=Reached("epoch", 10.0, 10), seconds=2.0))
        lines(event(4, loss=None, score=0.75, recall=0.5))
    assert told[1:] == [
        "round    0  epoch  0.50 of 10  train     loss 0.50000000  2000.0 ms  at most 38.0 s left",
        "round    1  epoch  1.00 of 10  train     loss 0.50000000  2000.0 ms  at most 36.0 s left",
        "round    2  epoch  1.00 of 10  train     score 0.7500  500.0 ms  at most 40.5 s left",
        "round    3  epoch 10.00 of 10  train     loss 0.50000000  2000.0 ms",
        "round    4  train     score 0.7500  recall 0.5000  1000.0 ms",
    ]


def test_iterations_end_where_the_gradient_does():
    left = TimeLeft()
    norms = [1.0, 1e-1, 1e-2, 1e-4]
    said = [
        left.after(event(k, reached=Reached("iteration", k, 1000, 1e-4), gradient=norm))
        for k, norm in enumerate(norms)
    ]
    assert said == ["", "about 6.0 s left", "about 3.0 s left", ""]


@pytest.mark.parametrize("gradient", [None, 0.0])
def test_a_gradient_that_says_nothing_leaves_the_limit(gradient):
    left = TimeLeft()
    for k in (0, 1):
        text = left.after(event(k, reached=Reached("iteration", k, 3, 1e-4), gradient=gradient))
    assert text == "at most 4.0 s left"


def test_where_nothing_is_known_nothing_is_said(clock, told):
    with fitting(RoundLines(write=told.append, clock=clock)) as lines:
        lines(event(0))
    assert told[1:] == ["round    0  train     loss 0.50000000  1000.0 ms"]


def test_a_long_round_gives_signs_of_life(clock, told):
    with fitting(RoundLines(write=told.append, patience=10.0, clock=clock)) as lines:
        clock.now += 9.0
        lines.tick()
        assert told == [OPENING]
        clock.now += 1.0
        lines.tick()
        lines.tick()
        assert told[1:] == ["round    0  has taken 10.0 s so far"]
        clock.now += 10.0
        lines(event(0, reached=Reached("epoch", 0.5, 2), seconds=20.0))
        clock.now += 75.0
        lines.tick()
    assert told[3:] == [
        "round    1  epoch 0.50 of 2  has taken 1 min 15 s so far  at most 1 min 0 s left"
    ]


def test_the_signs_come_by_themselves(told):
    seen = threading.Event()

    def write(line):
        told.append(line)
        if "so far" in line:
            seen.set()

    with fitting(RoundLines(write=write, patience=0.01)):
        assert seen.wait(30)
    assert told[0] == OPENING and told[1].startswith("round    0  has taken ")
    assert not [thread for thread in threading.enumerate() if thread.name == "verbose"]


def test_lines_come_first_last_and_at_intervals(clock, told):
    with fitting(RoundLines(write=told.append, interval=2.0, clock=clock)) as lines:
        for number in range(11):
            lines(event(number))
            clock.now += 0.7
    assert [line.split()[1] for line in told[1:]] == ["0", "3", "6", "9", "10"]


def test_the_last_round_before_a_failure_is_told(clock, told):
    with (
        pytest.raises(KeyboardInterrupt),
        fitting(RoundLines(write=told.append, interval=2.0, clock=clock)) as lines,
    ):
        lines(event(0))
        lines(event(1))
        raise KeyboardInterrupt
    assert told[-1].startswith("round    1  ")


def test_a_lost_worker_is_told_at_once(clock, told):
    with fitting(RoundLines(write=told.append, interval=2.0, clock=clock)) as lines:
        lines(event(0))
        lines(event(1, lost=1))
        assert told[2:] == ["round    1  workers lost: 1, tasks run again: 3"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (3599.6, "1 h 0 min")],
)
def test_durations_round_without_sixty_of_anything(seconds, text):
    assert duration(seconds) == text
