"""Writes digits.libsvm and digits_test.libsvm beside this file, from scikit-learn's digits."""

from pathlib import Path

import numpy as np
from sklearn.datasets import dump_svmlight_file, load_digits

SEED = 0
TRAIN_SHARE = 0.8


def write_digits(folder: Path) -> None:
    X, y = load_digits(return_X_y=True)
    # Pixels are whole numbers from 0 to 16; as integers they take a third of the bytes.
    X = X.astype(np.int64)
    rows = np.random.default_rng(SEED).permutation(len(y))
    train, test = np.split(rows, [int(TRAIN_SHARE * len(rows))])
    for name, part in (("digits.libsvm", train), ("digits_test.libsvm", test)):
        dump_svmlight_file(X[part], y[part], str(folder / name), zero_based=False)


if __name__ == "__main__":
    write_digits(Path(__file__).parent)
