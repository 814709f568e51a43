"""Linear models with scikit-learn's objectives, trained over partitions."""

from daskml_exec.linear_model._elastic_net import ElasticNet, Lasso
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._logistic import LogisticRegression
from daskml_exec.linear_model._logistic_cv import LogisticRegressionCV
from daskml_exec.linear_model._parallel import Choice
from daskml_exec.linear_model._plan import Plan, Shape
from daskml_exec.linear_model._poisson import PoissonRegressor
from daskml_exec.linear_model._ridge import LinearRegression, Ridge
from daskml_exec.training import History, RoundRecord, let_save, publish

__all__ = [
    "Choice",
    "ElasticNet",
    "Explanation",
    "Lasso",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Plan",
    "PoissonRegressor",
    "Ridge",
    "Shape",
]

publish(__name__, __all__)
let_save(
    (
        ElasticNet,
        Lasso,
        LinearRegression,
        LogisticRegression,
        LogisticRegressionCV,
        PoissonRegressor,
        Ridge,
    ),
    # Files hold their indices: a new one comes last.
    states=(History, RoundRecord, Shape, Plan, Choice),
)
