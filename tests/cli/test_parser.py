import pytest

from daskml_exec import __version__
from daskml_exec.cli import main
from daskml_exec.cli._models import MODELS
from daskml_exec.cli._models._logistic import Logistic
from daskml_exec.cli._models._mlp import Mlp
from daskml_exec.cli._options import TrainOptions
from daskml_exec.cli._parser import build_parser
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier


def parsed(*argv):
    return TrainOptions.from_arguments(build_parser().parse_args(["train", *argv]))


def test_defaults():
    assert parsed("rows.libsvm") == TrainOptions(
        file="rows.libsvm",
        model=Logistic(),
        workers=None,
        scheduler=None,
        partitions=None,
        test=None,
        save=None,
    )
    assert parsed("rows.libsvm", "--model", "mlp").model == Mlp()


@pytest.mark.parametrize(
    ("kind", "estimator"),
    [
        (Logistic(), LogisticRegression()),
        # The command says what comes back every time it is run.
        (Mlp(), MLPClassifier(random_state=0)),
    ],
)
def test_defaults_are_the_estimators(kind, estimator):
    arguments = kind.estimator([]).get_params()
    assert arguments == {**estimator.get_params(), "callbacks": []}


def test_every_option():
    text = (
        "a --workers 3 --partitions 5 --test b --solver averaging --max-iter 7 --tol 1e-3 --C inf"
    )
    options = parsed(*text.split(), "--save", "c", "--model", "logistic")
    assert (options.file, options.test, options.save) == ("a", "b", "c")
    assert (options.workers, options.partitions) == (3, 5)
    assert options.model == Logistic("averaging", 7, 1e-3, float("inf"))


def test_every_option_of_a_network():
    text = (
        "a --model mlp --hidden 8,4 --epochs 3 --batch-size 32 --learning-rate 0.5 --seed 7 "
        "--shuffle partitions --sync-every epoch --compression topk:0.1"
    )
    model = parsed(*text.split()).model
    assert model == Mlp((8, 4), 3, 32, 0.5, "partitions", "epoch", "topk:0.1", 7)
    given = model.estimator([]).get_params()
    names = ["hidden_layer_sizes", "max_iter", "batch_size", "learning_rate_init", "random_state"]
    assert [given[name] for name in names] == [(8, 4), 3, 32, 0.5, 7]
    names = ["shuffle", "sync_every", "compression"]
    assert [given[name] for name in names] == ["partitions", "epoch", "topk:0.1"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--hidden", "8"],
            "--hidden is an option of --model mlp; allowed with --model logistic are --solver, "
            "--max-iter, --tol, --C",
        ),
        (
            ["--model", "mlp", "--tol", "0.1"],
            "--tol is an option of --model logistic; allowed with --model mlp are --hidden, "
            "--epochs, --batch-size, --learning-rate, --shuffle, --sync-every, --compression, "
            "--seed",
        ),
        (
            ["--model", "mlp", "--hidden", "8,x"],
            "argument --hidden: invalid value: '8,x'; allowed are integers, with commas between "
            "them",
        ),
        (
            ["--model", "mlp", "--sync-every", "day"],
            "argument --sync-every: invalid value: 'day'; allowed are integers, and auto, epoch",
        ),
    ],
)
def test_wrong_usage_says_what_is_right(argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "rows.libsvm", *argv])
    assert capsys.readouterr().err.splitlines()[-1] == f"daskml-exec train: error: {message}"


@pytest.mark.parametrize("model", MODELS)
def test_the_help_has_every_model(model, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert f"\n--model {model}:\n" in text
    assert f"\n  # --model {model}\n" in text


def solvers():
    [allowed] = LogisticRegression._parameter_constraints["solver"]
    return sorted(allowed.options)


def test_solvers_are_the_estimators():
    assert [parsed("a", "--solver", solver).model.solver for solver in solvers()] == solvers()


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["train"],
        ["fit", "a"],
        ["train", "a", "--workers", "2", "--scheduler", "tcp://127.0.0.1:8786"],
        ["train", "a", "--workers", "two"],
        ["train", "a", "--solver", "svd"],
        ["train", "a", "--model", "forest"],
        ["train", "a", "--part", "3"],
    ],
)
def test_wrong_usage_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: daskml-exec")


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"daskml-exec {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["--workers", "0"], "--workers 0"),
        (["--partitions", "-1"], "--partitions -1"),
        (["--max-iter", "0"], "--max-iter 0"),
        (["--tol", "-1"], "--tol -1.0"),
        (["--tol", "nan"], "--tol nan"),
        (["--C", "0"], "--C 0.0"),
        (["--C", "nan"], "--C nan"),
        (["--model", "mlp", "--hidden", "8,0"], "--hidden 8,0"),
        (["--model", "mlp", "--epochs", "0"], "--epochs 0"),
        (["--model", "mlp", "--batch-size", "0"], "--batch-size 0"),
        (["--model", "mlp", "--learning-rate", "inf"], "--learning-rate inf"),
        (["--model", "mlp", "--sync-every", "-1"], "--sync-every -1"),
        (["--model", "mlp", "--compression", "topk:2"], "--compression topk:2"),
        (["--model", "mlp", "--seed", "-1"], "--seed -1"),
    ],
)
def test_values_out_of_range_start_nothing(refused, argv, name):
    assert refused("rows.libsvm", *argv).startswith(f"{name} is out of range; allowed are ")
