"""Recommenders of items to users, trained over blocks of both."""

from daskml_exec.recommendation._als import AlternatingLeastSquares
from daskml_exec.recommendation._content import ContentRecommender
from daskml_exec.recommendation._list_scores import RankingScores
from daskml_exec.recommendation._ranking_scores import ranking_scores
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._split import split_interactions
from daskml_exec.training import History, RoundRecord, let_save, publish

__all__ = [
    "AlternatingLeastSquares",
    "ContentRecommender",
    "RankingScores",
    "ranking_scores",
    "split_interactions",
]

publish(__name__, __all__)
let_save(
    (AlternatingLeastSquares, ContentRecommender),
    # Files hold their indices: a new one comes last.
    states=(History, RoundRecord, Seen),
)
