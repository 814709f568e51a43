"""In which order stages go forwards and backwards through the micro-batches of a step.

Where the output layer is cut into blocks, these come after the stages, and a place after them joins
what they say to the loss. Blocks go backwards when it is known, and then the stages do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

# Of a way forwards and a way back, which take about one and two parts of the time.
_SECONDS = {False: 1, True: 2}
# Micro-batches more that a block goes forwards through before it goes back through the first: it
# need not wait then for the loss, which is known elsewhere.
_BLOCKS_AHEAD = 1


@dataclass(frozen=True)
class Action:
    """One way of a micro-batch through one stage.

    Attributes
    ----------
    stage : int
        Blocks count after stages, and after them what joins them.
    micro_batch : int
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
    owners: Sequence[Sequence[int]],
    n_micro_batches: Sequence[int],
    order: str,
    n_blocks: int = 0,
) -> tuple[Action, ...]:
    """Return what all stages do in a step, in one order in which nobody waits for what comes later.

    Each Worker does its own part of it: as no part contradicts the whole, none waits for ever,
    whatever stages it has. Where it has some of several replicas, one goes on while another waits.

    Parameters
    ----------
    owners : tuple of tuple of int
        Per replica and stage, the Worker that has it; where there are blocks, of these, too, and
        then of what joins them.
    n_micro_batches : tuple of int
        Per replica; none for one that takes no step.
    order : {"1f1b", "gpipe"}
    n_blocks : int
        Of the output layer; 0 where it is in the last stage.
    """
    left = {
        (r, s): [
            replace(each, replica=r)
            for each in _of_place(s, len(own), n_micro_batches[r], order, n_blocks)
        ][::-1]
        for r, own in enumerate(owners)
        for s in range(len(own))
    }
    done: dict[Action, int] = {}
    free = {worker: 0 for own in owners for worker in own}
    found = []
    while any(left.values()):
        ready = []
        for (r, s), rest in left.items():
            needed = _needed(rest[-1], len(owners[r]), n_blocks) if rest else []
            if rest and all(each in done for each in needed):
                start = max([free[owners[r][s]], *(done[each] for each in needed)])
                ready.append((start, not rest[-1].back, s, r))
        start, _, s, r = min(ready)
        chosen = left[r, s].pop()
        takes = 0 if _joins(chosen, len(owners[r]), n_blocks) else _SECONDS[chosen.back]
        free[owners[r][s]] = done[chosen] = start + takes
        found.append(chosen)
    return tuple(found)


def _of_place(
    place: int, n_places: int, n_micro_batches: int, order: str, n_blocks: int
) -> list[Action]:
    """Return what a stage, a block or what joins blocks does in a step."""
    if not n_blocks:
        return actions_of(place, n_places, n_micro_batches, order)
    n_stages = n_places - n_blocks - 1
    if place < n_stages:
        return actions_of(place, n_stages + 1 + _BLOCKS_AHEAD, n_micro_batches, order)
    if place < n_places - 1:
        return actions_of(place, place + 1 + _BLOCKS_AHEAD, n_micro_batches, order)
    return [Action(place, i, False) for i in range(n_micro_batches)]


def _joins(action: Action, n_places: int, n_blocks: int) -> bool:
    return n_blocks > 0 and action.stage == n_places - 1


def _needed(action: Action, n_places: int, n_blocks: int) -> list[Action]:
    """Return what other places have to do first."""
    n_stages = n_places - n_blocks - 1 if n_blocks else n_places
    blocks = range(n_stages, n_stages + n_blocks)
    stage = action.stage
    if stage in blocks:
        before = n_places - 1 if action.back else n_stages - 1
        return [replace(action, stage=before, back=False)]
    if _joins(action, n_places, n_blocks) or (action.back and blocks and stage == n_stages - 1):
        return [replace(action, stage=each) for each in blocks]
    stage += 1 if action.back else -1
    return [replace(action, stage=stage)] if 0 <= stage < n_stages else []
