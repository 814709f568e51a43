import json
import pickle

import matplotlib
import pytest

from daskml_exec.training import (
    History,
    Measured,
    RoundRecord,
    state_from_arrays,
    state_to_arrays,
)

RECORD = RoundRecord(
    round=0,
    step="moments",
    loss=None,
    gradient_norm=None,
    seconds=0.25,
    bytes_out=0,
    bytes_back=1000,
    workers=2,
    busiest_seconds=0.125,
    workers_lost=0,
    tasks_recomputed=0,
    retries=0,
)


def record(index, **changes):
    found = {"step": "gradient", "loss": 1 / (index + 1), "gradient_norm": 10.0**-index}
    return RoundRecord(**{**vars(RECORD), "round": index, "bytes_out": 234, **found, **changes})


@pytest.fixture
def history():
    lost = record(2, workers_lost=1, tasks_recomputed=3, retries=1)
    return History((RECORD, record(1), lost), n_partitions=4)


def test_is_a_sequence_of_records(history):
    assert len(history) == 3
    assert history[0] is RECORD and history[-1].round == 2
    assert history[1:] == (history[1], history[2])
    assert [r.round for r in history] == [0, 1, 2]
    assert RECORD in history and list(reversed(history))[-1] is RECORD


def test_sums_over_rounds(history):
    assert history.bytes == 3 * 1000 + 2 * 234
    assert history.seconds == 0.75
    assert history.workers_lost == 1
    assert history.tasks_recomputed == 3


def test_pickles(history):
    assert pickle.loads(pickle.dumps(history)) == history


def test_repr_is_a_table_with_a_summary(history):
    summary, head, *rows = repr(history).splitlines()
    assert summary == (
        "3 rounds over 4 partitions, 0.75 s, 3,468 bytes moved, 1 worker lost, 3 tasks run again"
    )
    assert head.split() == ["round", "step", "loss", "gradient", "ms", "bytes", "workers", "lost"]
    assert rows[0].split() == ["0", "moments", "250.0", "1,000", "2"]
    assert rows[2].split() == ["2", "gradient", "0.333333", "1.00e-02", "250.0", "1,234", "2", "1"]


def test_repr_of_many_rounds_leaves_out_the_middle():
    long = History(tuple(record(i) for i in range(100)), n_partitions=1)
    rows = repr(long).splitlines()[2:]
    assert len(rows) == 20
    assert rows[10].split() == ["...", "(81", "more)"]
    assert [int(row.split()[0]) for row in rows[:10] + rows[11:]] == [*range(10), *range(91, 100)]


def test_repr_of_no_rounds():
    none = History((), n_partitions=1)
    assert repr(none).startswith("0 rounds over 1 partition, 0.00 s, 0 bytes moved")
    assert none.to_frame().empty and "<table>" in none._repr_html_()


def test_html_has_a_row_per_round_and_escapes(history):
    page = History((*history, record(3, step="<b>")), 4)._repr_html_()
    assert page.count("<tr>") == 1 + 4
    assert "&lt;b&gt;" in page and "<td><b></td>" not in page
    assert "4 rounds over 4 partitions" in page


def test_frame_has_the_rounds_as_index(history):
    frame = history.to_frame()
    assert frame.index.tolist() == [0, 1, 2] and frame.index.name == "round"
    assert frame["loss"].isna().tolist() == [True, False, False]
    assert frame.loc[2, "workers_lost"] == 1
    assert set(frame.columns) == set(vars(RECORD)) - {"round", "scores"}


def scored(index, **scores):
    return record(index, step="score", loss=None, gradient_norm=None, score=0.5, scores=scores)


def test_named_scores_are_columns_of_their_names():
    trained = record(0, step="train", gradient_norm=None)
    history = History((trained, scored(1, recall=0.25), scored(2, recall=0.5, loss=2.0)), 1)
    _, head, *rows = repr(history).splitlines()
    assert head.split()[:7] == ["round", "step", "loss", "score", "recall", "loss", "ms"]
    assert rows[2].split() == ["2", "score", "0.5000", "0.5000", "2.0000", "250.0", "1,234", "2"]
    assert "<th>recall</th>" in history._repr_html_()
    frame = history.to_frame()
    assert list(frame.columns[-2:]) == ["recall", "scores.loss"]
    assert frame["recall"].isna().tolist() == [True, False, False]
    assert frame.loc[2, "scores.loss"] == 2.0 and frame["loss"].isna().tolist() == [0, 1, 1]


def test_named_scores_survive_files_and_pickles():
    history = History((RECORD, scored(1, recall=0.25)), 1)
    states = (History, RoundRecord)
    arrays, about = state_to_arrays(history, states)
    assert state_from_arrays(arrays, json.loads(json.dumps(about)), states) == history
    assert pickle.loads(pickle.dumps(history)) == history
    assert len({*history}) == 2


@pytest.mark.parametrize("scores", [{"recall": "high"}, {1: 0.5}, [0.5], {"recall": None}])
def test_scores_are_numbers_by_name(scores):
    with pytest.raises(TypeError, match="numbers by name"):
        Measured(scores=scores)


def test_rounds_have_no_scores_of_each_others():
    assert Measured().scores == {} and Measured().scores is not Measured().scores


@pytest.fixture
def pyplot():
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_plot_shows_loss_gradient_and_losses_of_workers(history, pyplot):
    ax = history.plot()
    loss, lost = ax.lines
    assert loss.get_xydata().tolist() == [[1, 0.5], [2, pytest.approx(1 / 3)]]
    assert lost.get_xdata()[0] == 2
    [right] = [other for other in ax.figure.axes if other is not ax]
    assert right.lines[0].get_xydata().tolist() == [[1, 0.1], [2, 0.01]]
    assert right.get_yscale() == "log"
    ax.figure.canvas.draw()


def test_plot_keeps_norms_at_their_rounds_when_one_is_zero(pyplot):
    norms = History((record(0), record(1, gradient_norm=0.0), record(2)), 1)
    ax = norms.plot()
    [right] = [other for other in ax.figure.axes if other is not ax]
    assert right.lines[0].get_xydata().tolist() == [[0, 1.0], [2, 0.01]]


def test_plot_draws_where_it_is_told(history, pyplot):
    _, ax = pyplot.subplots()
    assert history.plot(ax) is ax


def test_columns_are_those_of_what_was_measured():
    trained = record(0, step="train", gradient_norm=None)
    scored = record(1, step="score", loss=None, gradient_norm=None, score=0.25)
    assert "gradient" in repr(History((record(0),), 1)) and "score" not in repr(
        History((record(0),), 1)
    )
    of_network = History((trained, scored), 1)
    assert "gradient" not in repr(of_network) and "0.2500" in repr(of_network)
    assert "<th>score</th>" in of_network._repr_html_()


def test_a_plot_draws_scores_where_there_are_no_gradients():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    scored = [record(i, step="score", loss=None, gradient_norm=None, score=i / 4) for i in (1, 3)]
    trained = [record(i, step="train", gradient_norm=None) for i in (0, 2)]
    ax = History(tuple(trained + scored), 1).plot()
    assert [other.get_ylabel() for other in ax.figure.axes] == ["loss", "score"]
