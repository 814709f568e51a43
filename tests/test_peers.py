"""Every comparison with a peer runs at a tiny size, so that none rots between two measurements."""

import contextlib
import gzip
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
    "network",
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
    """Import a module of the package; other interpreters are not there, whoever runs this."""
    monkeypatch.syspath_prepend(ASV_BENCH)
    for peer in ("SPARK", "DASK_ML", "TORCH", "TENSORFLOW"):
        monkeypatch.setenv(f"PEERS_{peer}_PYTHON", str(ASV_BENCH / "no-such-python"))
    return lambda name: importlib.import_module(f"peers.{name}")


def test_all_cases_are_tested(peers):
    assert tuple(peers("__main__").CASES) == CASES


# Each kind of table: fits beside peers, counted rounds, a network.
ALWAYS = {"dense", "rounds", "network"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in CASES],
)
def test_cases_run(name, peers):
    if name == "network":
        pytest.importorskip("daskml_exec.neural_network")
    options = peers("options").Options(tiny=True, pairs=1)
    with Executor(processes=False, n_workers=2):  # for the case that asks for the current one
        rows, remarks = peers("__main__").CASES[name](options)
    table = peers("table").render(rows)
    assert "daskml_exec" in table or name == "rounds"
    # All sides work on the same objective, or else one of them would not come near the least.
    missed = [row.who for row in rows if "missed" in row.suboptimality]
    assert set(missed) <= {"scikit-learn saga"}, table  # it wants more epochs where rows are few
    assert len(remarks) == (2 if name in ("dense", "network") else 0)


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


def test_operations_of_an_epoch_are_those_of_its_products(peers):
    # Forward two products, backward the gradients of both layers and what lies between them.
    rows, inputs, hidden, outputs = 7, 5, 3, 2
    products = 2 * (inputs * hidden + hidden * outputs) + hidden * outputs
    work = peers("network_work")
    assert work.epoch_flops(rows, inputs, hidden, outputs) == 2 * rows * products
    assert work.epoch_flops(60_000) / 1e9 == pytest.approx(24.54, abs=0.01)


def test_first_epochs_are_not_counted(peers):
    assert peers("network_work").steady([90.0, 90.0, 90.0, 1.0, 2.0, 3.0, 4.0, 50.0]) == 3.0


@pytest.fixture
def trainers(peers):
    """Make a side whose epochs take what its settings say."""
    network_compare = peers("network_compare")

    def epoch(setting):
        if setting["seconds"] == 0:
            raise network_compare.SettingFailedError("no compiler")
        return network_compare.Epoch(setting["seconds"])

    return lambda who, *seconds: network_compare.Trainer(
        who, tuple({"seconds": s} for s in seconds), epoch
    )


def test_peers_are_paired_in_their_fastest_setting(peers, trainers):
    options = peers("options").Options(pairs=2)
    rows, remarks = peers("network_compare").compare(
        "case", 600, trainers("ours", 2.0), [trainers("peer", 8.0, 0, 6.0)], options
    )
    assert [(row.who, row.setting, row.result) for row in rows] == [
        ("ours", "seconds=2.0", "300 samples/s"),
        ("peer", "seconds=6.0", "3.00 (3.00 - 3.00); 100 samples/s"),
        ("peer", "seconds=8.0", "tried once; 75 samples/s"),
    ]
    assert remarks == ["failed: peer, seconds=0: no compiler"]


def test_learning_rate_is_chosen_in_validation_and_judged_in_test(peers):
    accuracy = peers("accuracy")
    asked = []

    @contextlib.contextmanager
    def on(part):
        def fit(rate, seed):
            asked.append((part, rate, seed))
            good = rate == (0.002 if part == "validation" else 0.004)
            return accuracy.Scored(0.9 if good else 0.5 + seed / 10, 1.0, 2_000_000)

        yield fit

    contender = accuracy.Contender("group", "side", on)
    options = peers("options").Options()
    result = accuracy.judge(contender, (0.001, 0.002, 0.004), range(1), range(2), options)
    assert asked[-2:] == [("test", 0.002, 0), ("test", 0.002, 1)]
    line = accuracy.render([result]).splitlines()[-1]
    assert "55.00 (7.07)" in line
    assert "0.001: 50.00, 0.002: 90.00, 0.004: 50.00" in line
    assert line.split()[-2:] == ["2.00", "1.0"]


def test_of_equal_learning_rates_the_lowest_is_taken(peers):
    best = peers("accuracy").best
    assert best({0.004: [0.8, 0.6], 0.001: [0.7, 0.7], 0.002: [0.6]}) == 0.001


def test_image_files_are_read(peers, monkeypatch, tmp_path):
    monkeypatch.setenv("PEERS_FASHION_MNIST", str(tmp_path))
    pixels = np.arange(2 * 784, dtype=np.int64).astype(np.uint8)
    for name, header, values in (
        ("images-idx3", 16, pixels),
        ("labels-idx1", 8, np.array([3, 9], dtype=np.uint8)),
    ):
        with gzip.open(tmp_path / f"train-{name}-ubyte.gz", "wb") as file:
            file.write(bytes(header) + values.tobytes())
    images = peers("images")
    read = images.fashion_mnist("train")
    assert read.X.dtype == np.float32
    np.testing.assert_allclose(read.X.ravel() * 255, pixels, rtol=1e-6)
    np.testing.assert_array_equal(read.y, [3, 9])
    unavailable = peers("other_interpreter").PeerUnavailableError
    with pytest.raises(unavailable, match=r"dataset-fashion-mnist; PEERS_FASHION_MNIST names"):
        images.fashion_mnist("t10k")


def test_drawn_images_have_zeros_and_all_classes(peers):
    drawn = peers("images").synthetic(500)
    assert drawn.X.shape == (500, 784)
    assert 0.4 < np.mean(drawn.X == 0) < 0.6
    assert set(drawn.y) == set(range(10))


def test_accuracies_are_compared(peers, capsys):
    pytest.importorskip("daskml_exec.neural_network")
    fashion = peers("fashion")
    tiny = ["--scale", "tiny", "--seeds", "1", "--rates", "1e-3", "--epochs", "1"]
    fashion.main(["sides", "bytes", "sorted", *tiny, "--sync-every", "2", "--compression", "fp16"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:3] == ["what", "side", "rate"]
    assert len(printed) == 2 + (3 + 1 + 3) + 1
    assert printed[-1].startswith("not installed: PyTorch")


def test_tensor_parallelism_asks_for_pytorch(peers):
    with pytest.raises(
        SystemExit, match=r"not installed: PyTorch \(pip install torch numpy; PEERS_T"
    ):
        peers("torch_tensor_parallel").main(["--steps", "1"])


def test_samples_per_second_come_from_the_seconds_of_the_steps(peers):
    class Server:
        def ask(self, request):
            self.request = request
            return {"seconds": [4.0, 2.0], "loss": 0.5}

    module, server = peers("torch_tensor_parallel"), Server()
    found = module.speed(server, {"processes": 2}, repetitions=2, steps=10, batch=128)
    assert found == module.Speed((320.0, 640.0), 0.5)
    assert server.request["processes"] == server.request["repetitions"] == 2
    assert module.render({"side": found}).splitlines()[-1].split("  ")[-1] == "0.5000"
