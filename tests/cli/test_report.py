from dataclasses import replace

import numpy as np
import pytest

from daskml_exec.cli._columns import Indices
from daskml_exec.cli._confusion import Confusion
from daskml_exec.cli._models._logistic import Logistic
from daskml_exec.cli._models._mlp import Mlp
from daskml_exec.cli._report import Report
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier
from daskml_exec.training import History
from tests.cli.toolbox import record


def fitted(coef, classes):
    model = LogisticRegression()
    model.coef_ = np.array(coef)
    model.intercept_ = np.arange(len(coef)) / 4
    model.classes_ = np.array(classes, dtype=float)
    model.n_iter_ = np.array([1])
    model.history_ = History((record(0, None), record(1)), n_partitions=3)
    return model


@pytest.fixture
def report():
    return Report(
        n_rows=12345,
        n_features=6,
        n_workers=2,
        columns=Indices(1),
        kind=Logistic(C=0.5, tol=1e-4),
        model=fitted(
            [[0.0, -2.0, 1.0, 2.0, 0.125, 1e-7], [0, 0, 0, 3, 0, 0], [0.0] * 6], [3, 1, 2.5]
        ),
        converged=True,
        training_accuracy=0.9876,
        test_accuracy=None,
        loading_seconds=1.234,
        training_seconds=5.678,
    )


def test_the_whole_text(report):
    assert str(report).splitlines() == [
        "data               12,345 rows x 6 features",
        "cluster            3 partitions on 2 workers",
        "model              logistic, 3 classes, C=0.5",
        "solver             auto, 1 iteration in 2 rounds, converged (tol=0.0001)",
        "",
        "class  non-zero     min    max   norm  intercept",
        "    3         5  -2.000  2.000  3.003      0.000",
        "    1         1   0.000  3.000  3.000     0.2500",
        "  2.5         0   0.000  0.000  0.000     0.5000",
        "",
        "class  largest, as index:value (indices as in the file, from 1)",
        "    3  2:-2.00  4:+2.00  3:+1.00  5:+0.125  6:+1.00e-07",
        "    1  4:+3.00",
        "  2.5",
        "",
        "training loss      0.5 (per row, with the penalty)",
        "training accuracy  98.76%",
        "time               1.23 s loading, 5.68 s training",
        "bytes moved        2,000",
    ]


def test_indices_from_zero(report):
    text = str(replace(report, columns=Indices(0)))
    assert "(indices as in the file, from 0)" in text
    assert "    1  3:+3.00\n" in text


def test_two_classes_have_the_row_of_the_second(report):
    text = str(replace(report, model=fitted([[1.0, 2.0]], [-1, 1])))
    assert "    1         2  1.000  2.000" in text
    assert "\n   -1 " not in text


def test_what_went_wrong_is_told(report):
    report.model.history_ = History((record(0, None), record(1, lost=1)), n_partitions=3)
    text = str(replace(report, converged=False, test_accuracy=0.5))
    assert "NOT converged" in text
    assert "\ntest accuracy      50.00%\n" in text
    assert "\nworkers lost       1 (3 tasks run again)" in text


def test_many_classes_are_cut_short(report):
    text = str(replace(report, model=fitted(np.ones((30, 2)), range(30))))
    assert "\n... and 10 classes more\n" in text
    assert "\n   19 " in text
    assert "\n   20 " not in text


def test_the_loss_is_the_lowest_not_that_of_a_refused_step(report):
    records = (record(0, None), record(1, 0.5), record(2, 0.25), record(3, 0.75))
    report.model.history_ = History(records, n_partitions=3)
    assert "\ntraining loss      0.25 (" in str(report)


def test_labels_taken_for_others_are_a_table(report):
    confusion = Confusion([1.0, 2.5], np.array([[1200, 3], [0, 40]]), 1244)
    text = str(replace(report, test_accuracy=0.5, confusion=confusion))
    assert (
        "\n".join(
            [
                "",
                "rows of the test file by label: true downwards, predicted across",
                "         1  2.5",
                "1    1,200    3",
                "2.5      0   40",
                "... and 1 row of labels that the training file has not",
                "",
                "training loss ",
            ]
        )
        in text
    )


def test_of_many_labels_the_most_frequent_are_shown():
    matrix = np.diag(np.arange(1, 13))  # the first and the second of twelve are the rarest
    matrix[11, 0], matrix[1, 0] = 5, 7
    header, *lines = list(Confusion([f"l{k}" for k in range(12)], matrix, matrix.sum()).lines())[1:]
    assert header.split() == [
        "l11",
        "l10",
        "l9",
        "l1",
        "l8",
        "l7",
        "l6",
        "l5",
        "l4",
        "l3",
        "2",
        "others",
    ]
    assert lines[0].split() == ["l11", "12", *["0"] * 9, "5"]
    assert lines[3].split() == ["l1", "0", "0", "0", "2", *["0"] * 6, "7"]
    assert lines[-1].split() == ["2", "others", *["0"] * 10, "4"]
    assert len(lines) == 11


@pytest.fixture
def network_report(report):
    model = MLPClassifier()
    model.coefs_ = [np.ones((6, 4)), np.ones((4, 3))]
    model.intercepts_ = [np.ones(4), np.ones(3)]
    model.n_features_in_ = 6
    model.classes_ = np.arange(3.0)
    model.loss_curve_ = [1.25, 0.75, 0.5]
    model.n_iter_ = 3
    records = (record(0, gradient=None), record(1, gradient=None))
    model.history_ = History(records, n_partitions=3)
    return replace(report, kind=Mlp((4,), compression="fp16"), model=model, converged=False)


def test_the_whole_text_of_a_network(network_report):
    assert str(network_report).splitlines() == [
        "data               12,345 rows x 6 features",
        "cluster            3 partitions on 2 workers",
        "model              mlp, 3 classes, layers 6-4-3, 43 parameters",
        "training           3 epochs in 2 rounds (learning rate 0.001, compression fp16)",
        "",
        "training loss      1.25 in the first epoch, 0.5 in the last (per row, with the penalty)",
        "training accuracy  98.76%",
        "time               1.23 s loading, 5.68 s training",
        "bytes moved        2,000",
    ]


def test_a_network_that_stopped_by_itself(network_report):
    text = str(replace(network_report, converged=True))
    assert "3 epochs in 2 rounds, until the loss fell no more (" in text


def test_the_loss_of_one_epoch(network_report):
    network_report.model.loss_curve_ = [1.25]
    assert "\ntraining loss      1.25 (per row, with the penalty)\n" in str(network_report)
