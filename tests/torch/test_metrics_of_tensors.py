"""Metrics of predictions that are tensors: counted by PyTorch where they are."""

import dask.array as da
import numpy as np
import pytest
import torch

from daskml_exec import Executor, metrics
from tests.metrics.toolbox import CHANCE, COUNTS, GUESSED, MORE, SCORE, TWO, WEIGHT, Y

CASES = [
    ("accuracy_score", Y, GUESSED, {}),
    ("confusion_matrix", Y, GUESSED, {}),
    ("log_loss", Y, MORE, {}),
    ("brier_score_loss", TWO, CHANCE, {}),
    ("roc_auc_score", TWO, SCORE, {}),
    ("mean_squared_error", SCORE, CHANCE, {}),
    ("r2_score", SCORE, CHANCE, {}),
    ("d2_tweedie_score", COUNTS, CHANCE + 0.5, {"power": 1}),
]


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=1) as executor:
        yield executor


@pytest.mark.parametrize(("name", "y", "given", "options"), CASES, ids=[case[0] for case in CASES])
def test_futures_of_tensors(executor, name, y, given, options):
    function = getattr(metrics, name)
    there = da.from_array(y, chunks=100)
    wanted = function(there, given, sample_weight=WEIGHT, **options)
    parts = [given[:100], given[100:]]
    tensors = [executor.client.submit(torch.asarray, part) for part in parts]
    for predicted in (tensors, torch.asarray(given)):
        found = function(there, predicted, sample_weight=torch.asarray(WEIGHT), **options)
        assert np.asarray(found) == pytest.approx(np.asarray(wanted), rel=1e-12)
