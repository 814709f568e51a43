"""Make the picture of the README: a fit that loses a Worker, beside scikit-learn's.

``python docs/pictures/first_fit.py`` writes ``first-fit.svg`` beside this file. Needs matplotlib.
"""

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Theirs
from threadpoolctl import threadpool_limits

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression

OURS, THEIRS, LOST = "#d9480f", "#495057", "#c92a2a"
FLOOR = 1e-14  # of the gap: rounding
KILL_AFTER = 6
ITERATIONS = [1, 2, 3, 5, 7, 10, 15, 30, 60, 100, 200, 400, 700, 1000, 1500, 2000, 2500, 3500, 4000]

X, Y = load_breast_cancer(return_X_y=True)


def objective(model: Any) -> float:
    """Return scikit-learn's objective per row; C is one."""
    margins = (2 * Y - 1) * model.decision_function(X)
    return float(np.logaddexp(0.0, -margins).mean() + (model.coef_**2).sum() / (2 * len(Y)))


def ours(kill: bool) -> LogisticRegression:
    """Return a fit over four partitions on two Workers, one of which may be killed."""
    with Executor(n_workers=2) as executor:
        pids = list(executor.client.run(os.getpid).values())

        def watch(event: Any) -> None:
            if kill and event.record.round == KILL_AFTER:
                os.kill(pids[0], signal.SIGKILL)

        return LogisticRegression(callbacks=[watch]).fit(da.from_array(X, chunks=(150, 30)), Y)


def their_gaps(solver: str, least: float) -> list[tuple[int, float]]:
    """Return iterations and gaps; scikit-learn has no history, so each is a fit of its own."""
    found = []
    for n in ITERATIONS:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = Theirs(solver=solver, tol=1e-12, max_iter=n).fit(X, Y)
        found.append((n, max(objective(model) - least, FLOOR)))
        if found[-1][1] <= 1e-12 or model.n_iter_[0] < n:
            break
    return found


def main() -> None:
    """Fit, check that the killed Worker changed nothing, draw."""
    undisturbed, model = ours(kill=False), ours(kill=True)
    assert np.array_equal(model.coef_, undisturbed.coef_) and model.history_.workers_lost == 1
    least = objective(Theirs(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, Y))
    mpl.rcParams |= {"font.size": 10, "svg.hashsalt": "first-fit", "font.family": "DejaVu Sans"}
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.6, 3.7), width_ratios=[3, 2], layout="constrained"
    )
    gaps(left, model, least)
    rounds(right, model)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    path = Path(__file__).with_name("first-fit.svg")
    figure.savefig(path, metadata={"Date": None})
    print(path, path.stat().st_size, "bytes")


def gaps(axes: Any, model: LogisticRegression, least: float) -> None:
    """Draw how far from the optimum each is, by passes over the rows."""
    axes.set_title("Breast cancer data as it comes, 569 × 30", loc="left", fontsize=11)
    lbfgs, newton = (np.array(their_gaps(name, least)).T for name in ("lbfgs", "newton-cholesky"))
    axes.loglog(*lbfgs, color=THEIRS, lw=1.6)
    axes.loglog(*newton, color=THEIRS, lw=1.6, ls=(0, (4, 2)))
    losses = [(r.round, max(r.loss - least, FLOOR)) for r in model.history_ if r.loss is not None]
    passes, gap = np.array(losses).T
    axes.loglog(passes, gap, color=OURS, lw=2.2, marker="o", ms=4.5)
    killed = int(np.argmax(passes == KILL_AFTER))
    axes.plot(passes[killed], gap[killed], "X", color=LOST, ms=11, mec="white", zorder=5)
    note = {"textcoords": "offset points", "va": "center"}
    axes.annotate("scikit-learn, lbfgs (its default)", (50, 1.2e-1), (0, 11), color=THEIRS, **note)
    axes.annotate("scikit-learn,\nnewton-\ncholesky", (1.2, 3e-8), (0, 0), color=THEIRS, **note)
    axes.annotate(
        "daskml_exec, four partitions\non two Workers", (16, 3e-9), (0, 0), color=OURS, **note
    )
    axes.annotate("a Worker is killed", (passes[killed], gap[killed]), (22, -9), color=LOST, **note)
    axes.set(xlabel="passes over the rows", ylabel="gap to the optimum", ylim=(FLOOR / 2, 3))
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_formatter(NullFormatter())


def rounds(axes: Any, model: LogisticRegression) -> None:
    """Draw the seconds of each round."""
    axes.set_title("The same fit, round by round", loc="left", fontsize=11)
    lost = [record.round for record in model.history_ if record.workers_lost]
    for record in model.history_:
        colour = LOST if record.workers_lost else OURS
        axes.bar(record.round, 1e3 * record.seconds, color=colour, width=0.75)
    top = max(1e3 * record.seconds for record in model.history_)
    axes.annotate(
        "its partitions are made again;\nthe coefficients keep every bit",
        (lost[0], top),
        (lost[0], top * 1.32),
        color=LOST,
        ha="center",
        va="top",
    )
    axes.set_xticks(range(0, len(model.history_), 2))
    axes.set(xlabel="round", ylabel="milliseconds", ylim=(0, top * 1.35))


if __name__ == "__main__":
    main()
