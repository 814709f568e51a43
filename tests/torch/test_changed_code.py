"""A loss in a module that was changed after the Workers have imported it."""

import importlib
import sys

import cloudpickle
import numpy as np
import pytest
from torch import nn

from daskml_exec import Executor
from daskml_exec.executor import WorkerMismatchError
from daskml_exec.torch import TorchEstimator

X = np.random.default_rng(0).normal(size=(20, 3))


def test_the_old_code_is_not_trained_with(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = "losses_of_a_user"
    file = tmp_path / f"{name}.py"
    file.write_text("def loss(module, X):\n    return (module(X) ** 2).mean()\n")
    losses = importlib.import_module(name)
    settings = {"module__in_features": 3, "module__out_features": 1, "random_state": 0}
    with Executor(n_workers=1) as executor:
        executor.client.run(sys.path.insert, 0, str(tmp_path))
        model = TorchEstimator(nn.Linear, loss=losses.loss, max_epochs=1, batch_size=10, **settings)
        first = model.fit(X).loss_curve_[0]
        file.write_text("def loss(module, X):\n    return 100 + (module(X) ** 2).mean()\n")
        importlib.invalidate_caches()
        model.set_params(loss=importlib.reload(losses).loss)
        with pytest.raises(WorkerMismatchError, match=rf"another {name}\.loss than this process"):
            model.fit(X)
        assert model.loss_curve_ == [first]
        cloudpickle.register_pickle_by_value(losses)
        try:
            assert model.fit(X).loss_curve_[0] > 100
        finally:
            cloudpickle.unregister_pickle_by_value(losses)
    sys.modules.pop(name)
