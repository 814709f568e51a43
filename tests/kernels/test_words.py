"""Words of many documents at once are those of scikit-learn's analyzer."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from daskml_exec.kernels.words import END, words

# Letters that lengthen or look at neighbours when they are lowered, digits, and what is no word.
ALPHABET = "abZΣσς\u0130\u0131ßẞÅ_0\u0663 .,-\n\t\x00\x1f\x85\u200d'\u2019é\u0301"
TEXTS = st.lists(st.text(ALPHABET, max_size=12) | st.text(max_size=12), max_size=8)


def by_document(found):
    documents, last = [[]], found[-1:] or [END]
    assert last == [END]
    for word in found:
        if word == END:
            documents.append([])
        elif len(word) > 1:
            documents[-1].append(word)
    return documents[:-1]


@pytest.mark.parametrize("lowercase", [True, False])
@given(documents=TEXTS)
@example(documents=["ΩΣ", "Σ", "ΩΣ\0Ω", "plain Text\0\0", "", "a", "x_y a1"])
@example(documents=["ascii only \0", "\0"])
def test_words_are_those_of_scikit_learn(documents, lowercase):
    analyze = CountVectorizer(lowercase=lowercase).build_analyzer()
    assert by_document(words(documents, lowercase=lowercase)) == list(map(analyze, documents))


def test_all_ascii_characters():
    documents = [f"ab{chr(code)}cD" for code in range(128)]
    analyze = CountVectorizer().build_analyzer()
    assert by_document(words(documents, lowercase=True)) == list(map(analyze, documents))
