"""Scalers, encoders and imputers that learn from Dask collections, and transform them lazily."""

from daskml_exec.kernels.column_summaries import ColumnCounts, ColumnExtremes, ColumnMoments
from daskml_exec.preprocessing._column_transformer import ColumnTransformer
from daskml_exec.preprocessing._encoders import OneHotEncoder, OrdinalEncoder
from daskml_exec.preprocessing._imputer import SimpleImputer
from daskml_exec.preprocessing._label_encoder import LabelEncoder
from daskml_exec.preprocessing._profile import ColumnProfile, Profile, profile
from daskml_exec.preprocessing._robust import QuantileTransformer, RobustScaler
from daskml_exec.preprocessing._scalers import MaxAbsScaler, MinMaxScaler, StandardScaler
from daskml_exec.preprocessing._summaries import Form, Summary
from daskml_exec.training import let_save, publish
from daskml_exec.preprocessing._target_encoder import TargetEncoder

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
    "profile",
    "TargetEncoder",
]

publish(__name__, __all__)
let_save(
    (ColumnTransformer, MaxAbsScaler, MinMaxScaler, StandardScaler),
    # Files hold their indices: a new one comes last.
    states=(Form, Summary, ColumnCounts, ColumnExtremes, ColumnMoments),
)
