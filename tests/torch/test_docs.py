"""The estimators' docstrings say the same of what they share, and nothing of what they have not."""

import inspect

import pytest

from daskml_exec.torch import TorchClassifier, TorchEstimator, TorchRegressor

docscrape = pytest.importorskip("numpydoc.docscrape")

# Those of which estimators differ in what they do with them.
OWN = {"module", "scores", "**options"}


def described(estimator, section):
    """The lines of each name, in order."""
    doc = docscrape.NumpyDocString(inspect.getdoc(estimator))
    return {each.name: (each.type, each.desc) for each in doc[section]}


@pytest.mark.parametrize("section", ["Parameters", "Attributes"])
@pytest.mark.parametrize("estimator", [TorchClassifier, TorchRegressor])
def test_shared_names_are_described_alike(estimator, section):
    ours, theirs = described(estimator, section), described(TorchEstimator, section)
    for name in ours.keys() & theirs.keys() - OWN:
        assert ours[name] == theirs[name]


@pytest.mark.parametrize("estimator", [TorchClassifier, TorchEstimator, TorchRegressor])
def test_defaults_are_those_of_the_signature(estimator):
    parameters = inspect.signature(estimator).parameters
    for name, (kind, _) in described(estimator, "Parameters").items():
        default = kind.partition("default=")[2]
        if not default:
            continue
        expected = parameters[name].default
        if inspect.isclass(expected):
            assert default == f"torch.nn.{expected.__name__}"
        else:
            assert eval(default) == expected


@pytest.mark.parametrize("estimator", [TorchClassifier, TorchEstimator, TorchRegressor])
def test_signatures_are_alike(estimator):
    own = {"loss", "criterion", "class_weight"}
    shared = [
        each for name, each in inspect.signature(estimator).parameters.items() if name not in own
    ]
    theirs = inspect.signature(TorchEstimator).parameters.items()
    assert shared == [each for name, each in theirs if name not in own]
