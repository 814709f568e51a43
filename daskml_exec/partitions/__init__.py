"""From what users hold to aligned partitions on the cluster, and lazily back."""

from daskml_exec.partitions._assemble import check_weights, matrix
from daskml_exec.partitions._classification import ClassificationData, classification_data
from daskml_exec.partitions._dealt import dealt
from daskml_exec.partitions._explained import (
    SquaredError,
    block_sums,
    combine_sums,
    explained_share,
)
from daskml_exec.partitions._grid import Cell, Grid, Place, describe_place
from daskml_exec.partitions._grid_columns import ColumnChunks, column_chunks
from daskml_exec.partitions._grid_data import (
    ClassificationGrid,
    classification_grid,
    regression_grid,
)
from daskml_exec.partitions._kinds import (
    frame_meta,
    is_collection,
    require_matrix,
    weight_column,
)
from daskml_exec.partitions._non_finite import describe_non_finite
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._predict import block_to_predict, map_rows, require_features
from daskml_exec.partitions._recipes import loaded_again
from daskml_exec.partitions._refusals import naming_columns, refuse_unreadable
from daskml_exec.partitions._regression import regression_data
from daskml_exec.partitions._scores import accuracy, d2_poisson, r2
from daskml_exec.partitions._to_memory import is_matrix, to_memory

__all__ = [
    "Cell",
    "ClassificationData",
    "ClassificationGrid",
    "ColumnChunks",
    "Grid",
    "Partition",
    "Partitions",
    "Place",
    "SquaredError",
    "accuracy",
    "block_sums",
    "block_to_predict",
    "check_weights",
    "classification_data",
    "classification_grid",
    "column_chunks",
    "combine_sums",
    "d2_poisson",
    "dealt",
    "describe_non_finite",
    "describe_place",
    "explained_share",
    "frame_meta",
    "is_collection",
    "is_matrix",
    "loaded_again",
    "map_rows",
    "matrix",
    "naming_columns",
    "r2",
    "refuse_unreadable",
    "regression_data",
    "regression_grid",
    "require_features",
    "require_matrix",
    "to_memory",
    "weight_column",
]
