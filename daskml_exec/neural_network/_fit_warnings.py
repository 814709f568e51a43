"""What a network's fit has to say of its data and its end."""

from sklearn.exceptions import ConvergenceWarning

from daskml_exec.training import FitWarning
from daskml_exec.training.averaging import Stopping


def not_converged(name: str, max_iter: int, stopping: Stopping) -> FitWarning:
    """Say that `max_iter` was reached while the loss, or the score, still improved.

    Parameters
    ----------
    name : str
        The estimator's.
    max_iter : int
    stopping : Stopping
    """
    return FitWarning(
        "convergence",
        f"{name} stopped after max_iter={max_iter} epoch{'s' * (max_iter != 1)}, before the "
        f"{'score' if stopping.by_score else 'loss'} had stopped improving by "
        f"tol={stopping.tol:g} for more than {stopping.n_iter_no_change} epochs: it has not "
        "converged. Raise max_iter or tol",
        ConvergenceWarning,
    )
