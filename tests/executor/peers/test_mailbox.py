"""Messages are for one generation, come in time or not at all, and do not pile up."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.executor.peers import PeerTimeoutError
from daskml_exec.executor.peers._errors import GenerationEndedError
from daskml_exec.executor.peers._mailbox import _REMEMBERED, Mailbox
from daskml_exec.executor.peers._runs import CLOSED, Run


class FakeClock:
    """Time passes only while somebody waits; `meanwhile` is what happens then, and how late."""

    def __init__(self, *meanwhile):
        self.time = 100.0
        self.meanwhile = list(meanwhile)

    def now(self):
        return self.time

    def wait(self, condition, seconds):
        if self.meanwhile:
            after, action = self.meanwhile.pop(0)
            assert after <= seconds
            self.time += after
            action()
        else:
            self.time += seconds


RUN = Run("a", 1)


def take(mailbox, run=RUN, tag="tag", timeout=10.0):
    return mailbox.take(run, tag, timeout=timeout, sender="tcp://there")


def test_a_message_is_taken_once():
    clock = FakeClock()
    mailbox = Mailbox(clock)
    assert mailbox.file(Run("a", 1), "tag", "message")
    assert take(mailbox) == "message"
    assert len(mailbox) == 0
    with pytest.raises(PeerTimeoutError):
        take(mailbox)


@pytest.mark.parametrize(
    "other", [(Run("b", 1), "tag"), (Run("a", 2), "tag"), (Run("a", 1), "another")]
)
def test_messages_of_others_are_none_to_take(other):
    mailbox = Mailbox(FakeClock())
    mailbox.file(*other, "message")
    with pytest.raises(PeerTimeoutError):
        take(mailbox)
    assert len(mailbox) == 1


def test_a_message_that_comes_in_time():
    clock = FakeClock()
    mailbox = Mailbox(clock)
    clock.meanwhile.append((9.0, lambda: mailbox.file(Run("a", 1), "tag", "message")))
    assert take(mailbox) == "message"
    assert clock.time == 109.0


def test_what_else_comes_does_not_put_the_deadline_off():
    clock = FakeClock()
    mailbox = Mailbox(clock)
    for tag in range(3):
        clock.meanwhile.append((3.0, lambda tag=tag: mailbox.file(Run("a", 1), tag, "message")))
    with pytest.raises(
        PeerTimeoutError,
        match=r"tcp://there did not send 'tag' within 10 s.*"
        r"daskml-exec\.peer-timeout.*daskml-exec\.segment-start-timeout",
    ):
        take(mailbox)
    assert clock.time == 110.0


def test_the_end_of_a_generation_wakes_who_waits_in_it():
    clock = FakeClock()
    mailbox = Mailbox(clock)
    clock.meanwhile.append((1.0, lambda: mailbox.end_before("a", 2, "tcp://x was lost")))
    with pytest.raises(GenerationEndedError, match="tcp://x was lost"):
        take(mailbox)
    assert clock.time == 101.0


def test_real_threads_are_woken():
    mailbox = Mailbox()
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(take(mailbox, tag=n, timeout=30)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for n in range(4):
        mailbox.file(Run("a", 1), n, n)
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [0, 1, 2, 3]


def test_generations_below_the_floor_are_refused_and_those_above_are_not():
    mailbox = Mailbox(FakeClock())
    for generation in (1, 2, 3):
        mailbox.file(Run("a", generation), "tag", generation)
    mailbox.file(Run("b", 1), "tag", "of another run")
    mailbox.end_before("a", 3, "lost")
    assert len(mailbox) == 2
    assert not mailbox.file(Run("a", 2), "tag", "late")
    with pytest.raises(GenerationEndedError):
        mailbox.require_current(Run("a", 2))
    mailbox.end_before("a", 2, "an old end")
    assert mailbox.floor("a") == 3 and mailbox.floor("b") == 0
    assert take(mailbox, Run("a", 3)) == 3
    assert take(mailbox, Run("b", 1)) == "of another run"


def test_a_closed_run_takes_nothing_any_more():
    mailbox = Mailbox(FakeClock())
    mailbox.file(Run("a", 1), "tag", "message")
    mailbox.end_before("a", CLOSED, "the run was closed")
    assert len(mailbox) == 0
    for generation in (1, 10**6):
        assert not mailbox.file(Run("a", generation), "tag", "late")
        with pytest.raises(GenerationEndedError, match="the run was closed"):
            take(mailbox, Run("a", generation))


def test_a_worker_that_closes_lets_nobody_wait():
    clock = FakeClock()
    mailbox = Mailbox(clock)
    mailbox.file(Run("b", 1), "tag", "message")
    clock.meanwhile.append((1.0, mailbox.close))
    with pytest.raises(GenerationEndedError, match="this worker closes"):
        take(mailbox)
    assert not mailbox.file(Run("c", 1), "tag", "late")
    assert len(mailbox) == 0


def test_memory_is_bounded_however_many_runs_there_were():
    mailbox = Mailbox(FakeClock())
    mailbox.end_before("still open", 2, "lost")
    for number in range(_REMEMBERED + 50):
        mailbox.file(Run(str(number), 1), "tag", "message")
        mailbox.end_before(str(number), CLOSED, "closed")
    assert len(mailbox) == 0
    assert len(mailbox._floors) <= _REMEMBERED
    assert mailbox._boxes == {}
    assert not mailbox.file(Run("still open", 1), "tag", "late")
    assert not mailbox.file(Run(str(number), 1), "tag", "late")


def test_taken_messages_leave_nothing_of_their_run():
    mailbox = Mailbox(FakeClock())
    mailbox.file(Run("a", 1), "tag", "message")
    take(mailbox)
    mailbox.end_before("a", CLOSED, "closed")
    assert mailbox._boxes == {}


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["file", "end"]), st.sampled_from("ab"), st.integers(0, 4)),
        max_size=30,
    )
)
def test_what_is_kept_is_what_is_current(actions):
    mailbox, floors, kept = Mailbox(FakeClock()), {}, {}
    for number, (action, run_id, generation) in enumerate(actions):
        run = Run(run_id, generation)
        if action == "file":
            current = generation >= floors.get(run_id, 0)
            assert mailbox.file(run, number, number) == current
            if current:
                kept[run, number] = number
        else:
            mailbox.end_before(run_id, generation, "lost")
            floors[run_id] = max(floors.get(run_id, 0), generation)
            kept = {
                key: v for key, v in kept.items() if key[0].generation >= floors.get(key[0].id, 0)
            }
        assert len(mailbox) == len(kept)
    for (run, tag), message in kept.items():
        assert take(mailbox, run, tag) == message
