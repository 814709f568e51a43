"""Every comparison with a peer runs at a tiny size, so that none rots between two measurements."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from daskml_exec import Executor

ASV_BENCH = Path(__file__).parents[1] / "asv_bench"
CASES = (
    "dense",
    "multinomial",
    "sparse",
    "wide",
    "small",
    "float32",
    "memory",
    "ridge",
    "linear",
    "poisson",
    "rounds",
)
# Answers a setting with what shows that data, setting and cluster-like chatter all arrive.
FAKE_SERVER = """
import sys
from pathlib import Path
from peers.serve import serve
from peers.storage import load_X, load_y

folder = Path(sys.argv[1])

def fit(setting):
    print("chatter")
    if setting["tol"] < 0:
        raise ValueError("tol is negative")
    X, y = load_X(folder, 1, 3), load_y(folder, 1, 3)
    return setting["tol"], X.sum(axis=0).tolist(), float(y.sum())

serve(fit)
"""


@pytest.fixture
def peers(monkeypatch):
    """Import a module of the package; Spark and dask-ml are not there, whoever runs this."""
    monkeypatch.syspath_prepend(ASV_BENCH)
    for name in ("PEERS_SPARK_PYTHON", "PEERS_DASK_ML_PYTHON"):
        monkeypatch.setenv(name, str(ASV_BENCH / "no-such-python"))
    return lambda name: importlib.import_module(f"peers.{name}")


def test_all_cases_are_tested(peers):
    assert tuple(peers("__main__").CASES) == CASES


@pytest.mark.parametrize("name", CASES)
def test_cases_run(name, peers):
    options = peers("options").Options(tiny=True, pairs=1)
    with Executor(processes=False, n_workers=2):  # for the case that asks for the current one
        rows, remarks = peers("__main__").CASES[name](options)
    table = peers("table").render(rows)
    assert "daskml_exec" in table or name == "rounds"
    # All sides work on the same objective, or else one of them would not come near the least.
    missed = [row.who for row in rows if "missed" in row.suboptimality]
    assert set(missed) <= {"scikit-learn saga"}, table  # it wants more epochs where rows are few
    assert len(remarks) == (2 if name == "dense" else 0)


def test_missing_peers_are_named_with_the_remedy(peers):
    other = peers("other_interpreter")
    here = other.OtherPeer("peer", "peers.none", ("no_such_module",), "PEERS_NONE", "pip install x")
    with pytest.raises(
        other.PeerUnavailableError, match=r"not installed: peer \(pip install x; PEERS_NONE names"
    ):
        here.check()


@pytest.fixture
def fake(peers, monkeypatch, tmp_path):
    (tmp_path / "fake_server.py").write_text(FAKE_SERVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PEERS_FAKE_PYTHON", sys.executable)
    return peers("other_interpreter").OtherPeer(
        "fake", "fake_server", ("json",), "PEERS_FAKE_PYTHON", ""
    )


def test_another_interpreter_gets_the_rows_and_answers_settings(peers, fake):
    problem = peers("problems").dense(5, 2)
    with peers("other_interpreter").running(fake, problem) as server:
        for tol in (0.5, 0.25):
            fitted = server.fit({"tol": tol}, C=1.0)
            assert fitted.seconds == tol
            np.testing.assert_array_equal(fitted.coef, problem.X[1:3].sum(axis=0))
            assert fitted.intercept == problem.y[1:3].sum()


def test_a_peer_that_fails_says_why(peers, fake):
    other = peers("other_interpreter")
    message = r"failed: fake: .*ValueError: tol is negative"
    with (
        other.running(fake, peers("problems").dense(5, 2)) as server,
        pytest.raises(other.PeerUnavailableError, match=message),
    ):
        server.fit({"tol": -1.0})


def test_sparse_rows_survive_the_files(peers, tmp_path):
    problem, storage = peers("problems").sparse(20, 32, 8), peers("storage")
    storage.store(tmp_path, problem.X, problem.y)
    (_, cut), (start, stop) = storage.cuts(20, 2)
    assert cut == start
    read = storage.load_X(tmp_path, start, stop)
    np.testing.assert_array_equal(read.toarray(), problem.X[10:].toarray())
    np.testing.assert_array_equal(storage.load_y(tmp_path, start, stop), problem.y[10:])


def test_the_command_prints_one_table(peers, capsys):
    peers("__main__").main(["rounds", "--scale", "tiny", "--pairs", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:3] == ["case", "who", "setting"]
    assert len(printed) == 2 + 3


def test_numbers_of_the_table_have_three_digits(peers):
    spread = peers("table").spread
    assert spread([0.00123456]) == "0.00123"
    assert spread([1234.5, 0.1, 20.0]) == "20.0 (0.100 - 1234)"
