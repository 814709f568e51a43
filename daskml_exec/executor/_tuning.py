"""Sizes, counts and waits that nobody sets but tests and benchmarks."""

from dataclasses import dataclass

from daskml_exec.kernels.in_force import InForce


@dataclass(frozen=True)
class Tuning:
    """Numbers that were measured or chosen once, for all clusters; what users set is in Dask's.

    Those of a process are its own: worker processes have the usual ones.

    Attributes
    ----------
    literal_bytes, literals_bytes : int
        Up to these sizes, of one and of all tasks together, a message travels in each task of a
        round; else once, as a shared future.
    in_memory_bytes : int
        From so many bytes on a message or an answer is handed over in memory, where driver and
        workers are on one machine: a round of 10 MB out and back, of two partitions on two worker
        processes, then takes 39 ms beside the work, and 111 ms over sockets.
    grid_literals_bytes : int
        As `literals_bytes`, of the messages to all column blocks of a grid.
    few_columns : int
        Of few rows, each of so many column blocks adds up the parts for itself: that is as many
        times the work, which one more stage, of 10 ms, would save.
    band_bytes : float
        About so many bytes the margins of a band's rows take: small data meets in one task.
    ahead_seconds : float
        A task that runs rounds by itself reports back after about so many seconds, so that an
        interrupted fit does not leave it running, and listeners hear of it.
    ahead_bytes : int
        Or when the states of its rounds, which listeners may want, take so many bytes.
    cut_every, cut_bytes : int
        After so many rounds that would all have to be run again if a worker were lost, what
        partitions carry comes to the driver, if it is no more than so many bytes, and goes out from
        there.
    exact_every : int
        After so many rounds of lossy changes one is exact, which moves three vectors each way, in
        full: about what the sparsest codec moves in 64 rounds, and a loss costs as many rounds of
        one partition at most. Bits depend on it.
    file_chunk_bytes : int
        So much of a block is in flight to another worker's disk, and in memory twice, at once.
    look_seconds : float
        How often to look for workers while results do not come, in seconds.
    listen_seconds : float
        How often to look whether the connection to the scheduler broke, in seconds: what is
        submitted after that is not cancelled, as what was submitted before is.
    grace_seconds : float
        How long the other members have to stop where the task of one failed by an error of its own.
    confirm_memory_seconds, confirm_silence_seconds : float
        How long the scheduler has, at most, to notice that a worker is gone which its peers miss in
        shared memory, or of which they hear nothing: a closed connection is noticed at once, a cut
        one after Dask's own time-out.
    admission_look_seconds : float
        How often those who wait for the workers look whether the first one is still there.
    room_look_seconds : float
        How often to look for more workers where those that there are have no room, in seconds.
    first_pause_seconds, longest_pause_seconds : float
        How long to wait after an interruption of a segment: at first, doubled each time, at most.
    remembered_addresses : int
        So many addresses are listened to after their workers have gone: an adaptive cluster has
        many.
    """

    # Median ms of a round with so many MB out and back, 4 partitions of no work, 2 worker processes
    # (in threads of this process):
    #   MB        0.1        0.4        1.2         4          8
    #   literal   10 (11)    10 (11)    14 (10)    28 (10)    32 (15)
    #   shared    22 (16)    24 (17)    27 (17)    38 (19)    38 (20)
    # A literal costs the scheduler about 1 ms a task and MB, a shared message 12 ms, however many
    # the tasks. Dask warns of more than 10 MB in one submission.
    literal_bytes: int = 8_000_000
    literals_bytes: int = 16_000_000
    in_memory_bytes: int = 2**17
    grid_literals_bytes: int = 8_000_000
    few_columns: int = 8
    band_bytes: float = 2e6
    ahead_seconds: float = 1.0
    ahead_bytes: int = 32_000_000
    cut_every: int = 64
    cut_bytes: int = 100_000_000
    exact_every: int = 64
    file_chunk_bytes: int = 8 * 2**20
    look_seconds: float = 5.0
    listen_seconds: float = 0.5
    grace_seconds: float = 2.0
    confirm_memory_seconds: float = 5.0
    confirm_silence_seconds: float = 30.0
    admission_look_seconds: float = 1.0
    room_look_seconds: float = 0.2
    first_pause_seconds: float = 0.01
    longest_pause_seconds: float = 2.0
    remembered_addresses: int = 1_000


_in_force = InForce(Tuning())
tuned = _in_force.changed
"""A context manager: inside it, the numbers that it names are others, for all of this process."""


def tuning() -> Tuning:
    """Return the numbers in force."""
    return _in_force.now
