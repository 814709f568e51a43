"""The choice of a learning rate."""

from collections.abc import Callable, Sequence


def best_rate(
    who: str, rates: Sequence[float], score: Callable[[float], float], form: str = ".4f"
) -> float:
    """Return the rate whose score is largest, and print all; a single one is not tried."""
    if len(rates) == 1:
        return rates[0]
    scores = {rate: score(rate) for rate in rates}
    told = ", ".join(f"{rate:g}: {found:{form}}" for rate, found in scores.items())
    print(f"{who}: validation by rate: {told}", flush=True)
    return max(scores, key=scores.__getitem__)
