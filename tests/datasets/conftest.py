import io
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from sklearn.datasets import load_svmlight_file


@pytest.fixture
def sample_libsvm_path(data_dir: Path) -> Path:
    """Spark's sample file: digits 0 and 1, 100 rows, 692 features."""
    path = data_dir / "sample_libsvm_data.txt"
    if not path.exists():
        pytest.skip(f"{path.name} is not in {data_dir}, the folder from DASKML_EXEC_TEST_DATA")
    return path


@pytest.fixture(scope="session")
def assert_reads_like_sklearn() -> Callable[..., None]:
    """Compare arrays from read_libsvm with scikit-learn's reading of the whole text."""

    def check(arrays: tuple[da.Array, ...], text: bytes, **options: object) -> None:
        expected_X, expected_y, *expected_qid = load_svmlight_file(io.BytesIO(text), **options)
        X, y, *qid = (array.compute(scheduler="sync") for array in arrays)
        assert arrays[0].shape == X.shape == expected_X.shape
        assert type(X) is type(expected_X) is type(arrays[0]._meta)
        assert X.dtype == expected_X.dtype == arrays[0].dtype
        for part in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(X, part), getattr(expected_X, part))
        assert arrays[0].chunks[0] == arrays[1].chunks[0]
        if options.get("multilabel"):
            assert y.dtype == object
            assert list(y) == expected_y
        else:
            assert y.dtype == expected_y.dtype == arrays[1].dtype
            np.testing.assert_array_equal(y, expected_y)
        assert len(qid) == len(expected_qid)
        for array, expected in zip(qid, expected_qid, strict=True):
            assert array.dtype == expected.dtype == np.int64
            np.testing.assert_array_equal(array, expected)

    return check
