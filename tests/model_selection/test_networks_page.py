"""What the sections "Networks" and "Optuna" of `docs/searches.md` show, runs."""

import re

import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "searches.md").read_text()


def blocks(section):
    (found,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"```python\n(.*?)```", found, re.DOTALL)


@pytest.fixture
def names():
    X, y = load_digits(return_X_y=True)
    X = X[:900] / 16
    X_train, X_test, y_train, y_test = train_test_split(X, y[:900], random_state=0)
    return {
        "X": X,
        "y": y[:900],
        "X_train": X_train,
        "X_test": X_test,
        "y_train": y_train,
        "y_test": y_test,
    }


def test_networks(names, capsys):
    (block,) = blocks("Networks")
    exec(block, names)
    search, said = names["search"], capsys.readouterr().out
    assert search.best_score_ > 0.9 and search.n_candidates_ == 17
    assert "side by side" in said and "HyperbandSearchCV: bracket 2, 1 epoch, 9 cand" in said
    assert said.rstrip().endswith(str(search.best_score_))


def test_optuna(names):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    (imports, *_), (block,) = blocks("Networks"), blocks("Optuna")
    exec("\n".join(re.findall(r"^from .*", imports, re.MULTILINE)), names)
    exec(block, names)
    study = names["study"]
    states = [trial.state for trial in study.trials]
    assert len(states) == 10 and study.best_value > 0.85
    assert optuna.trial.TrialState.PRUNED in states
    assert all(state.is_finished() for state in states)
    loop = re.search(r"        trial = study.ask.*?tell\(trial, score\)", block, re.DOTALL)
    assert loop is not None and len(loop.group().splitlines()) <= 15
