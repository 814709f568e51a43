"""Linear models with scikit-learn's objectives, trained over partitions."""

from daskml_exec.linear_model._elastic_net import ElasticNet, Lasso
from daskml_exec.linear_model._elastic_net_cv import ElasticNetCV, LassoCV
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._logistic import LogisticRegression
from daskml_exec.linear_model._logistic_cv import LogisticRegressionCV
from daskml_exec.linear_model._parallel import Choice
from daskml_exec.linear_model._plan import Plan, Shape
from daskml_exec.linear_model._poisson import PoissonRegressor
from daskml_exec.linear_model._ridge import LinearRegression, Ridge
from daskml_exec.linear_model._ridge_cv import RidgeCV
from daskml_exec.training import History, RoundRecord, let_save, publish

__all__ = [
    "Choice",
    "ElasticNet",
    "ElasticNetCV",
    "Explanation",
    "Lasso",
    "LassoCV",
    "LinearRegression",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Plan",
    "PoissonRegressor",
    "Ridge",
    "RidgeCV",
    "Shape",
]

publish(__name__, __all__)
let_save(
    (
        ElasticNet,
        ElasticNetCV,
        Lasso,
        LassoCV,
        LinearRegression,
        LogisticRegression,
        LogisticRegressionCV,
        PoissonRegressor,
        Ridge,
        RidgeCV,
    ),
    # Files hold their indices: a new one comes last.
    states=(History, RoundRecord, Shape, Plan, Choice),
)
