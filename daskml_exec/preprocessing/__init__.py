"""Scalers, encoders and imputers that learn from Dask collections, and transform them lazily."""

from daskml_exec.preprocessing._column_transformer import ColumnTransformer
from daskml_exec.preprocessing._scalers import MaxAbsScaler, MinMaxScaler, StandardScaler
from daskml_exec.training import publish

__all__ = ["ColumnTransformer", "MaxAbsScaler", "MinMaxScaler", "StandardScaler"]

publish(__name__, __all__)
