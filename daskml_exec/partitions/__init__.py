"""From what users hold to aligned partitions on the cluster, and lazily back."""

from daskml_exec.partitions._any_target import LabelsOrNumbers
from daskml_exec.partitions._assemble import check_weights, matrix
from daskml_exec.partitions._classification import Labels, class_multipliers, require_stream_weight
from daskml_exec.partitions._column_sums import column_sums
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._dealt import dealt
from daskml_exec.partitions._derived import levelled
from daskml_exec.partitions._exchange import exchange
from daskml_exec.partitions._explained import (
    block_sums,
    combine_sums,
    explained_share,
    total_deviance,
)
from daskml_exec.partitions._folded import FoldColumn, FoldQuery, folded, without_fold
from daskml_exec.partitions._from_dataset import DatasetSamples, from_dataset
from daskml_exec.partitions._grid import Cell, Grid
from daskml_exec.partitions._grid_columns import ColumnChunks, column_chunks
from daskml_exec.partitions._kinds import (
    ARRAY,
    FRAME,
    FUTURES,
    SERIES,
    frame_meta,
    is_collection,
    kind_of,
    name_of,
    require_matrix,
    weight_column,
)
from daskml_exec.partitions._lazy_columns import columns_side_by_side, sparse_enough
from daskml_exec.partitions._lazy_frames import lazy_frame
from daskml_exec.partitions._lazy_sums import lazy_sums
from daskml_exec.partitions._load import ROWS, Cells, Cut, load, load_checked, load_where_it_is
from daskml_exec.partitions._made_rows import made_rows
from daskml_exec.partitions._map_rows import beside_blocks, block_map, map_rows
from daskml_exec.partitions._map_samples import map_samples
from daskml_exec.partitions._mapped import exchanged, made_of
from daskml_exec.partitions._mapped_blocks import Block, blocks_in_memory, mapped_blocks
from daskml_exec.partitions._number_blocks import number_blocks
from daskml_exec.partitions._one_piece import OnePiece, in_one_piece
from daskml_exec.partitions._partition import Partition, Partitions, Pieces
from daskml_exec.partitions._places import ColumnError, ColumnTypeError, Place, not_finite
from daskml_exec.partitions._predict import (
    block_to_predict,
    meta_of_predictions,
    require_features,
)
from daskml_exec.partitions._recipes import loaded_again, loaded_safely
from daskml_exec.partitions._refusals import column_labels, naming_columns, refuse_unreadable
from daskml_exec.partitions._regression import Numbers
from daskml_exec.partitions._relative import scaled
from daskml_exec.partitions._row_pieces import FoldRows, fold_rows, known_folds, row_lengths
from daskml_exec.partitions._row_sums import row_sums
from daskml_exec.partitions._row_trees import tree_between, tree_rows, tree_stacked
from daskml_exec.partitions._samples import load_samples
from daskml_exec.partitions._scaled import Scaled, scaled_of
from daskml_exec.partitions._split_data import rows_to_train_on, with_folds
from daskml_exec.partitions._target import NO_TARGET, Target
from daskml_exec.partitions._targets import real_target
from daskml_exec.partitions._text_gaps import gaps_as_nan
from daskml_exec.partitions._to_memory import is_matrix, to_memory
from daskml_exec.partitions._tokens import TokenWindows, tokens
from daskml_exec.partitions._trees import leaves_of, map_leaves
from daskml_exec.partitions._where_they_are import WHERE_THEY_ARE

__all__ = [
    "ARRAY",
    "FRAME",
    "FUTURES",
    "NO_TARGET",
    "ROWS",
    "SERIES",
    "WHERE_THEY_ARE",
    "Block",
    "Cell",
    "Cells",
    "ColumnChunks",
    "ColumnError",
    "ColumnTypeError",
    "Cut",
    "Data",
    "DatasetSamples",
    "FoldColumn",
    "FoldQuery",
    "FoldRows",
    "Grid",
    "Labels",
    "LabelsOrNumbers",
    "Numbers",
    "OnePiece",
    "Partition",
    "Partitions",
    "Pieces",
    "Place",
    "Scaled",
    "Target",
    "TokenWindows",
    "beside_blocks",
    "block_map",
    "block_sums",
    "block_to_predict",
    "blocks_in_memory",
    "check_weights",
    "class_multipliers",
    "column_chunks",
    "column_labels",
    "column_sums",
    "columns_side_by_side",
    "combine_sums",
    "dealt",
    "exchange",
    "exchanged",
    "explained_share",
    "fold_rows",
    "folded",
    "frame_meta",
    "from_dataset",
    "gaps_as_nan",
    "in_one_piece",
    "is_collection",
    "is_matrix",
    "kind_of",
    "known_folds",
    "lazy_frame",
    "lazy_sums",
    "leaves_of",
    "levelled",
    "load",
    "load_checked",
    "load_samples",
    "load_where_it_is",
    "loaded_again",
    "loaded_safely",
    "made_of",
    "made_rows",
    "map_leaves",
    "map_rows",
    "map_samples",
    "mapped_blocks",
    "matrix",
    "meta_of_predictions",
    "name_of",
    "naming_columns",
    "not_finite",
    "number_blocks",
    "real_target",
    "refuse_unreadable",
    "require_features",
    "require_matrix",
    "require_stream_weight",
    "row_lengths",
    "row_sums",
    "rows_to_train_on",
    "scaled",
    "scaled_of",
    "sparse_enough",
    "to_memory",
    "tokens",
    "total_deviance",
    "tree_between",
    "tree_rows",
    "tree_stacked",
    "weight_column",
    "with_folds",
    "without_fold",
]
