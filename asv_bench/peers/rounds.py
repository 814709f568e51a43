"""How many rounds a fit takes as partitions grow in number, and as they differ in their rows."""

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from peers import ours, problems
from peers.objective import Optimum
from peers.options import Options
from peers.problems import Problem
from peers.sides import timed_fit
from peers.table import Row

_SORTED_PARTITIONS = 16


def rounds(options: Options) -> tuple[list[Row], list[str]]:
    """At the default `tol`, so that all fits end at the same optimum."""
    problem = problems.dense(*((200, 3) if options.tiny else (256_000, 50)))
    counts = (2, 4) if options.tiny else (4, 16, 64, 256)
    cases = [(f"{count} partitions", problem, count) for count in counts]
    cut = counts[0] if options.tiny else _SORTED_PARTITIONS
    cases.append(
        (f"{cut} partitions, rows sorted by label", problems.sorted_by_label(problem), cut)
    )
    optimum = Optimum(problem)
    with ours.two_workers(options) as executor:
        fits = [(who, *_fit(executor, optimum, rows, count)) for who, rows, count in cases]
    return [
        Row(
            "rounds",
            who,
            "default tol",
            (seconds,),
            f"{max(optimum.suboptimality(value), 1e-16):.0e}",
            result=f"{taken} rounds",
        )
        for who, taken, value, seconds in fits
    ], []


def _fit(
    executor: Executor, optimum: Optimum, problem: Problem, partitions: int
) -> tuple[int, float, float]:
    X, y = ours.persisted(executor, problem, partitions)
    model = LogisticRegression(C=problem.C)
    fitted = timed_fit(model, X, y)
    return len(model.history_), optimum.see(fitted.coef, fitted.intercept), fitted.seconds
