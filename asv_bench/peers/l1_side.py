"""One fit of a logistic regression with an L1 penalty by another package, in its own process.

Run as a script by `l1_models`: ``python l1_side.py FOLDER NAME STRENGTH``. FOLDER has X and y; the
coefficients go to ``coef.npy`` there, and the seconds of the second of two fits (the first one
compiles, and is on few rows) to standard output. This file imports nothing of ours.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp


def model_of(name: str, n: int, strength: float) -> Any:
    """Return a model whose objective is the mean loss plus ``strength * |w|_1``."""
    C = 1.0 / (n * strength)
    if name in ("saga", "liblinear"):
        from sklearn.linear_model import LogisticRegression

        tol = 1e-6 if name == "saga" else 1e-8
        return LogisticRegression(
            l1_ratio=1.0, C=C, solver=name, tol=tol, max_iter=1000, fit_intercept=False
        )
    if name == "celer":
        from celer import LogisticRegression as Celer

        return Celer(C=C, tol=1e-8, fit_intercept=False)
    from skglm import SparseLogisticRegression

    return SparseLogisticRegression(alpha=strength, tol=1e-8, fit_intercept=False)


def main() -> None:
    folder, name, strength = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    y = np.load(folder / "y.npy")
    sparse = (folder / "X.npz").exists()
    X = sp.load_npz(folder / "X.npz") if sparse else np.load(folder / "X.npy")
    if sparse and name in ("celer", "skglm"):
        X = sp.csc_matrix(X)
    if not sparse and name in ("celer", "skglm"):
        X = np.asfortranarray(X)
    signs = 2.0 * y - 1.0
    few = min(len(y), 2000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model_of(name, few, max(strength, 0.01)).fit(X[:few], signs[:few])
        began = time.perf_counter()
        model = model_of(name, len(y), strength).fit(X, signs)
        seconds = time.perf_counter() - began
    np.save(folder / "coef.npy", np.ravel(model.coef_))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
