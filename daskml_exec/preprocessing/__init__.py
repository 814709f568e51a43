"""Scalers, encoders and imputers that learn from Dask collections, and transform them lazily."""

from daskml_exec.kernels.categories import CategoryCounts
from daskml_exec.kernels.column_summaries import ColumnCounts, ColumnExtremes, ColumnMoments
from daskml_exec.kernels.order_statistics import OrderSketch, Room
from daskml_exec.kernels.target_sums import ClassTable, Moments, NumberTable
from daskml_exec.preprocessing._categories import Categories
from daskml_exec.preprocessing._column_transformer import ColumnTransformer
from daskml_exec.preprocessing._encoders import OneHotEncoder, OrdinalEncoder
from daskml_exec.preprocessing._imputer import SimpleImputer
from daskml_exec.preprocessing._label_encoder import LabelEncoder
from daskml_exec.preprocessing._orders import OrderAnswer
from daskml_exec.preprocessing._present import Present, PresentValues
from daskml_exec.preprocessing._profile import ColumnProfile, Profile, profile
from daskml_exec.preprocessing._robust import QuantileTransformer, RobustScaler
from daskml_exec.preprocessing._scalers import MaxAbsScaler, MinMaxScaler, StandardScaler
from daskml_exec.preprocessing._summaries import Form, Summary
from daskml_exec.preprocessing._target_encoder import Seen, TargetEncoder
from daskml_exec.preprocessing._target_sums import ColumnTarget, TargetAnswer
from daskml_exec.training import let_save, publish

__all__ = [
    "ColumnProfile",
    "ColumnTransformer",
    "LabelEncoder",
    "MaxAbsScaler",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "Profile",
    "QuantileTransformer",
    "RobustScaler",
    "SimpleImputer",
    "StandardScaler",
    "TargetEncoder",
    "profile",
]

publish(__name__, __all__)
let_save(
    (
        *(ColumnTransformer, LabelEncoder, MaxAbsScaler, MinMaxScaler, OneHotEncoder),
        *(OrdinalEncoder, QuantileTransformer, RobustScaler, SimpleImputer, StandardScaler),
        TargetEncoder,
    ),
    # Files hold their indices: a new one comes last.
    states=(
        *(Form, Summary, ColumnCounts, ColumnExtremes, ColumnMoments),
        *(Room, OrderSketch, OrderAnswer, CategoryCounts, Categories, PresentValues, Present),
        *(Moments, ClassTable, NumberTable, ColumnTarget, TargetAnswer, Seen),
    ),
)
