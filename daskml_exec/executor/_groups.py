"""Decide which partitions one task serves, and on which worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future

from daskml_exec.executor._able_workers import able_workers
from daskml_exec.executor._capacity import Capacity
from daskml_exec.executor._workers_now import workers_now

_OF_THIS_MACHINE = ("tcp://127.", "tls://127.", "inproc://")


@dataclass(frozen=True)
class Group:
    """Partitions that one task serves, on the worker named; None lets the scheduler choose."""

    worker: str | None
    indices: list[int]


@dataclass(frozen=True)
class Plan:
    """The groups of a round, and whether all workers can be reached from here."""

    groups: list[Group]
    direct: bool


def plan_groups(
    client: Client, partitions: Sequence[Future[Any]], partition_nbytes: Sequence[int]
) -> Plan:
    """Ask where the partitions are, and group them by worker in tasks that fit in its memory."""
    held = client.who_has(list(partitions))
    holders = [sorted(held.get(future.key, ())) for future in partitions]
    workers: dict[str, dict[str, Any]] = workers_now(client)
    everywhere = {worker for holding in holders for worker in holding}
    able = able_workers(client, workers, needed=everywhere)
    room = {address: _room_of_a_task(worker) for address, worker in workers.items()}
    groups = cut_groups(group_by_worker(holders, able), partition_nbytes, room)
    # Workers of this machine can be reached from here; behind a gateway others cannot.
    return Plan(groups, all(map(is_of_this_machine, workers)))


def is_of_this_machine(address: str) -> bool:
    """Return whether a worker's address is one of this machine's own."""
    return address.startswith(_OF_THIS_MACHINE)


def group_by_worker(holders: Sequence[Sequence[str]], workers: Sequence[str]) -> list[Group]:
    """Group partitions by worker, so that no worker idles while another has several.

    Parameters
    ----------
    holders : sequence of sequences of addresses
        Per partition, the workers that hold it. One that nobody holds is being computed, and
        stays alone.
    workers : sequence of addresses
        The workers that live.

    Examples
    --------
    >>> group_by_worker([["a"], ["a", "b"], []], ["a", "b"])[1:]
    [Group(worker='b', indices=[1]), Group(worker=None, indices=[2])]
    >>> group_by_worker([["a"], ["a"], ["a"]], ["a", "b"])
    [Group(worker='a', indices=[0, 1]), Group(worker='b', indices=[2])]
    """
    load: dict[str, list[int]] = {worker: [] for worker in workers}
    alone = []
    for index, candidates in enumerate(holders):
        living = [worker for worker in candidates if worker in load]
        if living:
            load[min(living, key=lambda worker: len(load[worker]))].append(index)
        else:
            alone.append(Group(None, [index]))
    for idle in [worker for worker in workers if not load[worker]]:
        # A worker that came late, or whose copies were dropped, gets half of the largest group.
        largest = max(workers, key=lambda worker: len(load[worker]))
        keep = -(-len(load[largest]) // 2)
        load[largest], load[idle] = load[largest][:keep], load[largest][keep:]
    return [Group(worker, indices) for worker, indices in load.items() if indices] + alone


def cut_groups(
    groups: Iterable[Group], partition_nbytes: Sequence[int], room: Mapping[str, float | None]
) -> list[Group]:
    """Cut each group into consecutive ones that fit in the room of a task on its worker.

    A partition that is larger than the room is a group of its own.

    Examples
    --------
    >>> cut_groups([Group("a", [0, 1, 3])], [5, 2, 2, 6], {"a": 8})
    [Group(worker='a', indices=[0, 1]), Group(worker='a', indices=[3])]
    """
    cut: list[Group] = []
    for group in groups:
        limit = None if group.worker is None else room.get(group.worker)
        if limit is None:
            cut.append(group)
            continue
        indices: list[int] = []
        size = 0
        for index in group.indices:
            if indices and size + partition_nbytes[index] > limit:
                cut.append(Group(group.worker, indices))
                indices, size = [], 0
            indices.append(index)
            size += partition_nbytes[index]
        cut.append(Group(group.worker, indices))
    return cut


def _room_of_a_task(worker: Mapping[str, Any]) -> float | None:
    """Return the bytes that a task may load on a worker; several groups run in its threads."""
    room = Capacity.of_workers([worker]).for_data
    return None if room is None else room / worker["nthreads"]
