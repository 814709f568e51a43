"""The same bits on any number of Workers, and whichever of them is lost."""

import os
import signal

import numpy as np
import pytest
from distributed import futures_of, wait

from daskml_exec import Executor
from daskml_exec.feature_extraction.text import TfidfVectorizer
from tests.executor.peers.leftovers import until
from tests.feature_extraction.toolbox import DOCUMENTS, array, bag, matrix, series
from tests.partitions.test_futures import remove_worker

SIZES = (5, 0, 3, 7, 1, 8)


def bits(vectorizer, result):
    X = matrix(result)
    found = [X.indptr, X.indices, X.data, vectorizer.idf_]
    return [list(vectorizer.vocabulary_), *(each.tobytes() for each in found)]


def until_released_from_memory(client, word):
    until(lambda: not any(where for key, where in client.who_has().items() if word in str(key)))


def undisturbed():
    vectorizer = TfidfVectorizer()
    return bits(vectorizer, vectorizer.fit_transform(DOCUMENTS))


@pytest.mark.parametrize("n_workers", [1, 2, 4])
@pytest.mark.parametrize("kind", [array, series, bag])
def test_any_number_of_workers(n_workers, kind):
    with Executor(processes=False, n_workers=n_workers):
        vectorizer = TfidfVectorizer()
        assert bits(vectorizer, vectorizer.fit_transform(kind(DOCUMENTS, SIZES))) == undisturbed()


def test_a_worker_is_lost_that_holds_rows():
    """What they were made of is gone: it is counted again."""
    with Executor(processes=False, n_workers=2) as executor:
        client, vectorizer = executor.client, TfidfVectorizer()
        made = vectorizer.fit_transform(array(DOCUMENTS, SIZES))
        rows = futures_of(made)
        wait(rows)
        until_released_from_memory(client, "map-")
        (holder, *_), *_ = client.who_has(rows).values()
        client.run_on_scheduler(remove_worker, holder)
        assert bits(vectorizer, made) == undisturbed()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [array, series, bag])
def test_a_killed_process_changes_nothing(kind):
    with Executor(n_workers=2) as executor:
        vectorizer = TfidfVectorizer()
        made = vectorizer.fit_transform(kind(DOCUMENTS, SIZES))
        os.kill(executor.workers()[1].pid, signal.SIGKILL)
        assert bits(vectorizer, made) == undisturbed()


@pytest.mark.slow
def test_a_process_that_is_killed_while_documents_are_analysed(tmp_path):
    """Its first document of all ends it, once."""

    def analyzer(document):
        if document.startswith("The cat"):
            try:
                (tmp_path / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return document.split()

    with Executor(n_workers=2):
        vectorizer = TfidfVectorizer(analyzer=analyzer)
        found = bits(vectorizer, vectorizer.fit_transform(array(DOCUMENTS, SIZES)))
    again = TfidfVectorizer(analyzer=str.split)
    assert found == bits(again, again.fit_transform(DOCUMENTS))
    assert (tmp_path / "killed").exists()


def test_a_result_can_be_persisted_and_outlives_the_vectorizer():
    with Executor(processes=False, n_workers=2) as executor:
        vectorizer = TfidfVectorizer()
        made = executor.client.persist(vectorizer.fit_transform(array(DOCUMENTS, SIZES)))
        del vectorizer
        wait(made)
        assert (
            np.diff(matrix(made).indptr).tolist()
            == np.diff(TfidfVectorizer().fit_transform(DOCUMENTS).indptr).tolist()
        )
