"""Compile before the first round what Numba compiles, in the threads of tasks.

A loop that is compiled in its first call makes the first round seconds long, and nobody knows why.
The code is cached on disk, so that the next processes on a machine only load it.
"""

import importlib.util
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from daskml_exec.executor import LostPartitionError, Query, RoundRunner
from daskml_exec.partitions import Partition, Partitions, Pieces
from daskml_exec.training._payload import payload_nbytes

# Per client, what was compiled on which worker.
_ready_here: set[str] = set()
_ready: WeakKeyDictionary[Any, set[tuple[str, str]]] = WeakKeyDictionary()


def compile_ahead(
    partitions: Partitions | Pieces,
    compiling: Callable[[Partition], None],
    name: str,
    *,
    say: Callable[[str], object],
) -> None:
    """Have every worker compile, unless it has done so for this client.

    Parameters
    ----------
    partitions : Partitions or Pieces
    compiling : callable
        Runs the compiled functions on next to nothing, of the types that a partition gives.
        Picklable.
    name : str
        Of what is compiled, with its types.
    say : callable
        Told in a line, if there is something to compile.
    """
    if importlib.util.find_spec("numba") is None:
        return
    if isinstance(partitions, Pieces):
        _compile_here(partitions, compiling, name, say=say)
        return
    executor = partitions.executor
    done = _ready.setdefault(executor.client, set())
    wanted = {(name, worker) for worker in _processes(executor)}
    if wanted <= done:
        return
    say("compiling loops with Numba, once for each Worker")
    lost, sizes = partitions.workers_lost_before, partitions.nbytes_each
    # Not on all: partitions that are on disk would come to memory for nothing.
    with closing(RoundRunner(executor, partitions.futures, payload_nbytes, lost, sizes)) as all_:
        chosen = all_.some_of_each_worker()
    some = [partitions.futures[index] for index in chosen]
    with closing(RoundRunner(executor, some, _nbytes, lost)) as runner:
        try:
            runner.run(_Compile(compiling), name="compile")
        except LostPartitionError:
            return  # the first round meets it, too, and knows what to do
    done |= wanted


def _compile_here(
    pieces: Pieces, compiling: Callable[[Partition], None], name: str, *, say: Callable[[str], Any]
) -> None:
    if name not in _ready_here:
        say("compiling loops with Numba")
        compiling(pieces.partitions[0])
        _ready_here.add(name)


def _processes(executor: Any) -> list[str]:
    return ["here"] if executor.in_process else list(executor.client.nthreads())


@dataclass(frozen=True)
class _Compile(Query[int]):
    compiling: Callable[[Partition], None]

    def partial(self, partition: Partition) -> int:
        self.compiling(partition)
        return 0


def _nbytes(payload: Any) -> int:
    return 0  # nobody counts it
