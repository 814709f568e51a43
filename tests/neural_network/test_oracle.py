"""With one partition the weights are those of scikit-learn; with several, a step is the union's."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from daskml_exec.kernels.networks.layout import Layout, initial_parameters
from daskml_exec.kernels.networks.optimisers import SGD, Adam
from tests.neural_network.without_dask import cut, plain
from tests.tiers import each_pair

N, D = 600, 7
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, D))
CODES = (X[:, 0] + 0.5 * RNG.standard_normal(N) > 0).astype(int) + (X[:, 1] > 0.3)
TARGETS = {
    "classes": (CODES, 3),
    "two classes": (np.minimum(CODES, 1), 2),
    "numbers": (X @ RNG.standard_normal(D) + 0.1 * RNG.standard_normal(N), None),
}
OPTIMISERS = {
    "adam": (Adam(0.9, 0.999, 1e-8), {"solver": "adam"}),
    "sgd": (SGD(0.0, False), {"solver": "sgd", "momentum": 0.0}),
    "momentum": (
        SGD(0.9, False),
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
    ),
    "nesterov": (SGD(0.9, True), {"solver": "sgd", "momentum": 0.9}),
}


def sklearn_from(layout, parameters, regressor, **arguments):
    """scikit-learn's network, which starts from these parameters."""
    base = MLPRegressor if regressor else MLPClassifier
    layers = iter(zip(*layout.layers(parameters.copy()), strict=True))

    class Started(base):
        def _init_coef(self, fan_in, fan_out, dtype):
            return tuple(piece.copy() for piece in next(layers))

    return Started(**arguments)


def distance(layout, parameters, model):
    other = layout.flat(model.coefs_, model.intercepts_)
    return np.linalg.norm(parameters - other) / np.linalg.norm(other)


@each_pair(
    solver=OPTIMISERS,
    target=TARGETS,
    activation=["relu", "tanh", "logistic", "identity"],
    weighted=[False, True],
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_weights_after_twenty_batches_are_those_of_sklearn(solver, target, activation, weighted):
    y, n_classes = TARGETS[target]
    optimiser, arguments = OPTIMISERS[solver]
    outputs = n_classes if n_classes and n_classes > 2 else 1
    layout = Layout((D, 9, 5, outputs))
    start = initial_parameters(layout, seed=3, logistic=False, dtype=np.dtype(float))
    weight = RNG.uniform(0.5, 2.0, N) if weighted else None
    model = sklearn_from(
        layout,
        start,
        n_classes is None,
        hidden_layer_sizes=(9, 5),
        activation=activation,
        shuffle=False,
        batch_size=64,
        alpha=0.05,
        max_iter=2,
        learning_rate_init=0.01,
        **arguments,
    ).fit(X, y, sample_weight=weight)
    fit = plain(
        cut(X, y, weight, bounds=[0, N]),
        hidden=(9, 5),
        activation=activation,
        n_classes=n_classes,
        optimiser=optimiser,
        alpha=0.05,
        batch_size=64,
        learning_rate=0.01,
        max_iter=2,
        shuffle=False,
        parameters=start,
    )
    state = fit.run()
    assert sum(fit.algorithm.problem.batching.steps) * 2 == 20
    assert distance(layout, state.model.parameters, model) < 1e-10
    if not weighted:
        assert state.progress.loss_curve == pytest.approx(model.loss_curve_, rel=1e-10)
