"""Find for each side the loosest setting that reaches a precision, then time sides in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from peers.objective import Optimum
from peers.options import Options
from peers.sides import Fitted, Setting, Side, named
from peers.table import Row, spread


@dataclass(frozen=True)
class Settled:
    """The setting of a side, and how near to the optimum it came."""

    side: Side
    setting: Setting
    value: float
    seconds: float
    gave_up: bool = False


def tight(optimum: Optimum, *sides: Side) -> None:
    """Learn the least objective from the tightest setting of these sides, untimed."""
    if optimum.problem.optimum is None:
        for side in sides:
            fitted = side.fit(side.ladder[-1])
            optimum.see(fitted.coef, fitted.intercept)


def compare(
    case: str,
    optimum: Optimum,
    ours: Side,
    peers: Sequence[Side],
    *,
    target: float,
    options: Options,
) -> list[Row]:
    """Return our row, and a row for each peer with the ratios of pairs (peer, ours) in turn."""
    case = f"{case}, {target:.0e}".replace("e-0", "e-")
    options.say(f"{case}: {ours.who}")
    mine = settle(ours, optimum, target, options)
    own_seconds: list[float] = []
    rows = []
    for peer in peers:
        options.say(f"{case}: {peer.who}")
        theirs = settle(peer, optimum, target, options)
        pairs = 1 if theirs.seconds > options.patience else options.pairs
        timed = [(theirs.side.fit(theirs.setting), ours.fit(mine.setting)) for _ in range(pairs)]
        own_seconds += [own.seconds for _, own in timed]
        ratios = [other.seconds / own.seconds for other, own in timed]
        row = _row(case, theirs, optimum, target, [other for other, _ in timed])
        rows.append(replace(row, result=spread(ratios)))
    own = _row(case, mine, optimum, target, [])
    return [replace(own, seconds=tuple(own_seconds)), *rows]


def settle(side: Side, optimum: Optimum, target: float, options: Options) -> Settled:
    """Return the loosest setting that reaches the target, or else the tightest tried.

    Whole steps down the ladder, and from the one that reaches the target half a step back.
    """
    for index in range(0, len(side.ladder), 2):
        found = _try(side, side.ladder[index], optimum, options)
        if optimum.suboptimality(found.value) <= target:
            if index:
                looser = _try(side, side.ladder[index - 1], optimum, options)
                found = looser if optimum.suboptimality(looser.value) <= target else found
            return found
        if found.seconds > options.patience and index + 1 < len(side.ladder):
            return replace(found, gave_up=True)
    return found


def _try(side: Side, setting: Setting, optimum: Optimum, options: Options) -> Settled:
    fitted = side.fit(setting)
    value = optimum.see(fitted.coef, fitted.intercept)
    options.say(
        f"    {side.who} {named(setting)}: {fitted.seconds:.2f} s, "
        f"{optimum.suboptimality(value):.1e}"
    )
    return Settled(side, setting, value, fitted.seconds)


def _row(
    case: str, settled: Settled, optimum: Optimum, target: float, timed: Sequence[Fitted]
) -> Row:
    reached = optimum.suboptimality(settled.value)
    # What is left of the difference of two sums over many rows below this is rounding.
    text = f"{reached:.0e}" if reached > 1e-14 else "< 1e-14"
    if reached > target:
        text += " (missed)" if not settled.gave_up else " (missed, no more tried)"
    return Row(
        case,
        settled.side.who,
        named(settled.setting),
        tuple(fitted.seconds for fitted in timed),
        text,
    )
