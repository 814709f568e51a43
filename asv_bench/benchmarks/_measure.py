"""How benchmarks choose their size and compare two things."""

import os
import statistics
import time
from collections.abc import Callable, Sequence


def scale() -> str:
    """Return "full", or "tiny" when only asked whether the benchmark runs."""
    return os.environ.get("DASKML_EXEC_BENCH_SCALE", "full")


def seconds(call: Callable[[], object]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def ratios(
    one: Callable[[], object], other: Callable[[], object], *, pairs: int, warm_up: int = 1
) -> list[float]:
    """Return ``seconds(one) / seconds(other)`` of calls made in turn, after a warm-up.

    A drift of the machine's speed touches both of a pair, and so hardly their ratio.
    """
    for _ in range(warm_up):
        one()
        other()
    return [seconds(one) / seconds(other) for _ in range(pairs)]


def summary(values: Sequence[float], unit: str = "") -> str:
    """Return median and range."""
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f} - {max(values):.2f})"
