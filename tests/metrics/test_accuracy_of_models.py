import dask.array as da
import numpy as np
import pytest

from daskml_exec.metrics._of_models import accuracy
from tests.partitions.toolbox import labels, rows, weights


def guess(block):
    """Right in two rows of three, counted over all rows."""
    row = ((block[:, 0] - 0.5) / 4).astype(int)
    return np.where(row % 3 == 0, -1, row * 7 % 3)


@pytest.mark.parametrize("weight", [None, weights()])
@pytest.mark.parametrize("chunks", [23, 5, (0, 20, 0, 3)])
@pytest.mark.parametrize("y_chunks", [None, 4])
def test_share_of_right_labels_by_weight(executor, weight, chunks, y_chunks):
    y = labels() if y_chunks is None else da.from_array(labels(), chunks=y_chunks)
    X = da.from_array(rows(), chunks=(chunks, 2))
    expected = np.average(guess(rows()) == labels(), weights=weight)
    assert accuracy(executor, guess, X, y, weight) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("n", [0, 23])
def test_no_weight_is_nothing_to_score(executor, n):
    X = da.from_array(rows()[:n], chunks=(5, 4))
    with pytest.raises(ValueError, match="no rows with a positive weight"):
        accuracy(executor, guess, X, labels()[:n], np.zeros(n))
