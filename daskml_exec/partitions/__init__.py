"""From what users hold to aligned partitions on the cluster, and lazily back."""

from daskml_exec.partitions._accuracy import accuracy
from daskml_exec.partitions._assemble import matrix
from daskml_exec.partitions._classification import ClassificationData, classification_data
from daskml_exec.partitions._kinds import frame_meta, is_collection, require_matrix, to_memory
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._predict import map_rows

__all__ = [
    "ClassificationData",
    "Partition",
    "Partitions",
    "accuracy",
    "classification_data",
    "frame_meta",
    "is_collection",
    "map_rows",
    "matrix",
    "require_matrix",
    "to_memory",
]
