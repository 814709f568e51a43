"""In which order stages go forwards and backwards through the micro-batches of a step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

# Of a way forwards and a way back, which take about one and two parts of the time.
_SECONDS = {False: 1, True: 2}


@dataclass(frozen=True)
class Action:
    """One way of a micro-batch through one stage.

    Attributes
    ----------
    stage, micro_batch : int
    back : bool
        Whether gradients go backwards, or activations forwards.
    replica : int
        Of the whole pipeline.
    """

    stage: int
    micro_batch: int
    back: bool
    replica: int = 0


def actions_of(stage: int, n_stages: int, n_micro_batches: int, order: str) -> list[Action]:
    """Return what one stage does in a step.

    Parameters
    ----------
    stage, n_stages, n_micro_batches : int
    order : {"1f1b", "gpipe"}
        By "1f1b" a stage keeps at most ``n_stages - stage`` micro-batches at once; by "gpipe" all.

    Examples
    --------
    >>> def told(action):
    ...     return f"{'B' if action.back else 'F'}{action.micro_batch}"
    >>> " ".join(map(told, actions_of(1, 3, 4, "1f1b")))
    'F0 F1 B0 F2 B1 F3 B2 B3'
    """
    forth = [Action(stage, i, False) for i in range(n_micro_batches)]
    back = [Action(stage, i, True) for i in range(n_micro_batches)]
    if order == "gpipe":
        return [*forth, *back]
    ahead = min(n_stages - 1 - stage, n_micro_batches)
    found = forth[:ahead]
    for i, each in enumerate(back):
        found += [*forth[ahead + i : ahead + i + 1], each]
    return found


@lru_cache(maxsize=64)
def actions(
    owners: Sequence[Sequence[int]], n_micro_batches: Sequence[int], order: str
) -> tuple[Action, ...]:
    """Return what all stages do in a step, in one order in which nobody waits for what comes later.

    Each Worker does its own part of it: as no part contradicts the whole, none waits for ever,
    whatever stages it has. Where it has some of several replicas, one goes on while another waits.

    Parameters
    ----------
    owners : tuple of tuple of int
        Per replica and stage, the Worker that has it.
    n_micro_batches : tuple of int
        Per replica; none for one that takes no step.
    order : {"1f1b", "gpipe"}
    """
    left = {
        (r, s): [
            replace(each, replica=r) for each in actions_of(s, len(own), n_micro_batches[r], order)
        ][::-1]
        for r, own in enumerate(owners)
        for s in range(len(own))
    }
    done: dict[Action, int] = {}
    free = {worker: 0 for own in owners for worker in own}
    found = []
    while any(left.values()):
        start, chosen = min(
            (
                (max(free[owners[r][s]], done[before] if before else 0), each)
                for (r, s), rest in left.items()
                if rest
                and (
                    (before := _before(each := rest[-1], len(owners[r]))) is None or before in done
                )
            ),
            key=lambda pair: (pair[0], not pair[1].back, pair[1].stage, pair[1].replica),
        )
        left[chosen.replica, chosen.stage].pop()
        worker = owners[chosen.replica][chosen.stage]
        free[worker] = done[chosen] = start + _SECONDS[chosen.back]
        found.append(chosen)
    return tuple(found)


def _before(action: Action, n_stages: int) -> Action | None:
    """Return what another stage has to do first."""
    stage = action.stage + (1 if action.back else -1)
    return replace(action, stage=stage) if 0 <= stage < n_stages else None
