import pytest

from daskml_exec import __version__
from daskml_exec.cli import main
from daskml_exec.cli._options import TrainOptions
from daskml_exec.cli._parser import build_parser
from daskml_exec.linear_model import LogisticRegression


def parsed(*argv):
    return TrainOptions.from_arguments(build_parser().parse_args(["train", *argv]))


def test_defaults_are_the_estimators():
    options, defaults = parsed("rows.libsvm"), LogisticRegression()
    assert options == TrainOptions(
        file="rows.libsvm",
        model="logistic",
        workers=None,
        scheduler=None,
        partitions=None,
        test=None,
        solver=defaults.solver,
        max_iter=defaults.max_iter,
        tol=defaults.tol,
        C=defaults.C,
        save=None,
    )


def test_every_option():
    text = (
        "a --workers 3 --partitions 5 --test b --solver averaging --max-iter 7 --tol 1e-3 --C inf"
    )
    options = parsed(*text.split(), "--save", "c", "--model", "logistic")
    assert (options.workers, options.partitions, options.max_iter) == (3, 5, 7)
    assert (options.tol, options.C) == (1e-3, float("inf"))
    assert (options.file, options.test, options.save) == ("a", "b", "c")
    assert options.solver == "averaging"


def solvers():
    [allowed] = LogisticRegression._parameter_constraints["solver"]
    return sorted(allowed.options)


def test_solvers_are_the_estimators():
    assert [parsed("a", "--solver", solver).solver for solver in solvers()] == solvers()


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
    ],
)
def test_values_out_of_range_start_nothing(refused, argv, name):
    assert refused("rows.libsvm", *argv).startswith(f"{name} is out of range; allowed are ")
