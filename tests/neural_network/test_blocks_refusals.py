"""What does not go with blocks and replicas raises, and says what does."""

import dask.array as da
import numpy as np
import pytest

from daskml_exec.neural_network import MLPClassifier
from tests.device_standin import send
from tests.neural_network.block_fits import NUMBERS, TARGETS, D, N, X, in_chunks, network

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]
MODEL, HYBRID = {"parallel": "model"}, {"parallel": "hybrid"}
on_both_targets = pytest.mark.parametrize("target", ["classes", "numbers"])


def in_two(X):
    return in_chunks(X, N // 2, N - N // 2)


@on_both_targets
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parallel": "blocks"}, "'parallel'.*'hybrid'.*Got 'blocks'"),
        (MODEL | {"n_blocks": 0}, "'n_blocks'.*Got 0"),
        (MODEL | {"n_blocks": 2.0}, r"'n_blocks'.*Got 2\.0"),
        (MODEL | {"n_blocks": 7}, "n_blocks=7.*narrowest hidden layer.* 6"),
        (HYBRID | {"n_blocks": 7}, "n_blocks=7.*narrowest hidden layer.* 6"),
        (HYBRID | {"n_replicas": 1}, "'n_replicas'.*Got 1"),
        (HYBRID | {"n_replicas": 3}, "n_replicas=3 with 2 partitions.*allowed are 2"),
        ({"n_blocks": 2}, "n_blocks=2 with parallel='data'.*'auto'"),
        ({"n_replicas": 2}, "n_replicas=2 with parallel='data'.*'auto'"),
        (MODEL | {"n_replicas": 2}, "n_replicas=2 with parallel='model'.*'auto'"),
        (MODEL | {"sync_every": 3}, "sync_every=3 with parallel='model'.*'auto'"),
        (MODEL | {"compression": "fp16"}, "compression='fp16' with parallel='model'.*None"),
        (HYBRID | {"compression": "fp16"}, "compression='fp16' with parallel='hybrid'.*None"),
        (MODEL | {"early_stopping": True}, "early_stopping=True with parallel='model'.*False"),
        (HYBRID | {"early_stopping": True}, "early_stopping=True with parallel='hybrid'.*False"),
        (MODEL | {"outer": "nesterov"}, "outer='nesterov' with parallel='model'.*'average'"),
        (HYBRID | {"outer": "nesterov"}, "outer='nesterov' with parallel='hybrid'.*'average'"),
        (MODEL | {"hidden_layer_sizes": ()}, r"parallel='model'.*hidden|hidden_layer_sizes=\(\)"),
    ],
    ids=str,
)
def test_arguments_that_do_not_go_together(target, arguments, message):
    model = network(target, **arguments)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(in_two(X), TARGETS[target])
    assert not hasattr(model, "coefs_")


@on_both_targets
def test_replicas_need_a_partition_each(target):
    with pytest.raises(ValueError, match=r"n_replicas=2.*1 partition.*more chunks"):
        network(target, **HYBRID).fit(X, TARGETS[target])


@on_both_targets
@pytest.mark.parametrize("given", [MODEL, HYBRID])
def test_partial_fit(target, given):
    classes = {"classes": [0, 1, 2]} if target == "classes" else {}
    model = network(target, **given)
    with pytest.raises(ValueError, match=f"parallel='{given['parallel']}'.*partial_fit"):
        model.partial_fit(in_two(X), TARGETS[target], **classes)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("given", [MODEL, HYBRID])
def test_chunks_on_a_device(given):
    rows = da.from_array(X, chunks=(50, D)).map_blocks(send)
    with pytest.raises(ValueError, match=r"partition \d of X is on a device.*NumPy"):
        network(**given).fit(rows, TARGETS["classes"])


@on_both_targets
@pytest.mark.parametrize("given", [MODEL, HYBRID])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_is_not_finite_is_named(target, given, value):
    bad = X.copy()
    bad[100, 2] = value
    word = "NaN" if np.isnan(value) else "infinity"
    with pytest.raises(ValueError, match=f"{word} in partition 1, column 2"):
        network(target, **given).fit(in_two(bad), TARGETS[target])


@pytest.mark.parametrize("given", [MODEL, HYBRID])
def test_targets_that_are_not_finite(given):
    bad = NUMBERS.copy()
    bad[3] = np.nan
    with pytest.raises(ValueError, match=r"y .*NaN|NaN.*y"):
        network("numbers", **given).fit(in_two(X), bad)


@pytest.mark.parametrize("given", [{}, MODEL, HYBRID])
def test_one_class(given):
    """As with data parallelism: whatever that says."""
    with pytest.raises(ValueError, match="class"):
        MLPClassifier(max_iter=1, **given).fit(in_two(X), np.zeros(N, int))


@pytest.mark.parametrize("given", [MODEL, HYBRID])
def test_no_row_has_weight(given):
    with pytest.raises(ValueError, match="weight"):
        network("numbers", **given).fit(in_two(X), NUMBERS, np.zeros(N))


@pytest.mark.parametrize("given", [MODEL, HYBRID])
def test_warm_start_with_another_shape(given):
    model = network(warm_start=True, **given).fit(in_two(X), TARGETS["classes"])
    model.set_params(hidden_layer_sizes=(5, 5))
    with pytest.raises(ValueError, match=r"shapes.*hidden_layer_sizes=\(5, 5\)"):
        model.fit(in_two(X), TARGETS["classes"])
