"""A fitted network as scikit-learn's own."""

from typing import Any

# Arguments that scikit-learn's networks do not have.
_OURS = {
    "sync_every",
    "compression",
    "outer",
    "parallel",
    "n_blocks",
    "n_replicas",
    "callbacks",
    "class_weight",
}
_FITTED = (
    "coefs_",
    "intercepts_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "n_iter_",
    "t_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
)


def sklearn_arguments(model: Any) -> dict[str, Any]:
    """Return the arguments that scikit-learn's network has, too."""
    arguments = {k: v for k, v in model.get_params(deep=False).items() if k not in _OURS}
    arguments["shuffle"] = bool(model.shuffle)
    return arguments


def copy_network(model: Any, sklearn_model: Any, *names: str) -> Any:
    """Copy fitted attributes to scikit-learn's model, with others named; return it."""
    # Without these its training cannot go on.
    sklearn_model._no_improvement_count = 0
    sklearn_model._best_coefs = [coef.copy() for coef in model.coefs_]
    sklearn_model._best_intercepts = [intercept.copy() for intercept in model.intercepts_]
    return model._copy_fitted(sklearn_model, *names, *_FITTED)
