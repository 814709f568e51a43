"""Exchanges between threads of this process, which hold their users to the contract."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from daskml_exec.kernels.fixed_tree import fold_siblings

DEADLINE = 60  # seconds


class Rendezvous:
    """Where the workers' threads leave what they send, and find what the others sent."""

    def __init__(self, n_workers, n_blocks):
        self.n_workers, self.n_blocks = n_workers, n_blocks
        self.changed = threading.Condition()
        self.posted, self.taken = {}, {}
        self.failed = False

    def post(self, tag, worker, arrays):
        with self.changed:
            there = self.posted.setdefault(tag, {})
            assert worker not in there, f"{tag} was sent twice"
            there[worker] = arrays
            self.changed.notify_all()

    def take(self, tag):
        """Return the union of what all workers have sent, by reference."""

        def ready():
            return self.failed or len(self.posted[tag]) == self.n_workers

        with self.changed:
            assert self.changed.wait_for(ready, DEADLINE), f"nobody answered {tag}"
            if self.failed:
                raise RuntimeError("another worker has failed")
            return {key: a for part in self.posted[tag].values() for key, a in part.items()}

    def fail(self):
        with self.changed:
            self.failed = True
            self.changed.notify_all()


class ThreadExchange:
    """One worker's end. It copies nothing, and notes what is exchanged.

    What was sent is looked at again at each later exchange, until that one has been answered.
    """

    def __init__(self, meeting, worker):
        self.meeting, self.worker = meeting, worker
        self.kept = []
        self.log = []

    def sum_to_owners(self, tag, partials, cuts, out):
        def write(arrays):
            total = self._total(arrays)
            for block, array in out.items():
                array[:] = total[cuts[block]]

        return self._exchange("sum_to_owners", tag, partials, write, cuts[-1].stop)

    def gather(self, tag, slices, cuts, out):
        def write(arrays):
            for block, array in arrays.items():
                out[cuts[block]] = array

        return self._exchange("gather", tag, slices, write, len(out))

    def sum_everywhere(self, tag, partials, out):
        def write(arrays):
            out[:] = self._total(arrays)

        return self._exchange("sum_everywhere", tag, partials, write, len(out))

    def _total(self, nodes):
        (total,) = fold_siblings(nodes, self.meeting.n_blocks, np.add).values()
        return total

    def _exchange(self, kind, tag, arrays, write, units):
        arrays = dict(arrays)
        self.log.append((kind, units))
        self._look_at_what_was_sent()
        earlier, self.kept = self.kept, [(tag, a, a.copy()) for a in arrays.values()]
        self.meeting.post(tag, self.worker, arrays)

        def wait():
            answered = self.meeting.take(tag)
            write(answered)
            for sent in earlier:
                self._look_at(*sent)  # only now it may change

        return wait

    def _look_at_what_was_sent(self):
        for sent in self.kept:
            self._look_at(*sent)

    @staticmethod
    def _look_at(tag, array, copy):
        assert np.array_equal(array, copy, equal_nan=True), f"{tag} changed after it was sent"


def on_workers(owners, n_blocks, work):
    """Return per worker what ``work(blocks, exchange)`` returns, each in a thread of its own."""
    meeting = Rendezvous(len(owners), n_blocks)

    def run(worker):
        try:
            return work(owners[worker], ThreadExchange(meeting, worker))
        except BaseException:
            meeting.fail()
            raise

    if len(owners) == 1:
        return [run(0)]
    with ThreadPoolExecutor(len(owners)) as threads:
        return [future.result() for future in [threads.submit(run, w) for w in range(len(owners))]]
