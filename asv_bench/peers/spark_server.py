"""Spark MLlib on two local threads, its data cached: ``python -m peers.spark_server FOLDER``.

Runs in an interpreter that has pyspark, and imports nothing else of ours but the reader of rows.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession

from peers.serve import Answer, serve
from peers.storage import cuts, load_X, load_y

THREADS, PARTITIONS = 2, 8


def main() -> None:
    folder = Path(sys.argv[1])
    spark = (
        SparkSession.builder.master(f"local[{THREADS}]")
        .config("spark.driver.memory", "8g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    try:
        rows = cached(spark, folder)
        serve(lambda setting: fit(rows, setting))
    finally:
        spark.stop()


def cached(spark: SparkSession, folder: Path) -> DataFrame:
    """Return the rows as vectors in Spark's memory; Parquet takes them there without Python."""
    n = len(np.load(folder / "y.npy", mmap_mode="r"))
    with tempfile.TemporaryDirectory() as there:
        for part, (start, stop) in enumerate(cuts(n, PARTITIONS)):
            X, y = load_X(folder, start, stop), load_y(folder, start, stop)
            values = pa.array(np.ascontiguousarray(X, dtype=np.float64).ravel())
            columns = {
                "x": pa.ListArray.from_arrays(
                    np.arange(len(X) + 1, dtype=np.int32) * X.shape[1], values
                ),
                "label": pa.array(y.astype(np.float64)),
            }
            pq.write_table(pa.table(columns), Path(there, f"{part}.parquet"), compression="none")
        rows = spark.read.parquet(there).select(array_to_vector("x").alias("features"), "label")
        rows = rows.repartition(PARTITIONS).cache()
        rows.count()
    return rows


def fit(rows: DataFrame, setting: dict[str, Any]) -> Answer:
    """Without standardisation, so that the penalty is on the coefficients as they are."""
    model = LogisticRegression(
        regParam=setting["penalty"],
        elasticNetParam=0.0,
        standardization=False,
        tol=setting["tol"],
        maxIter=1000,
    )
    started = time.perf_counter()
    fitted = model.fit(rows)
    seconds = time.perf_counter() - started
    return seconds, fitted.coefficients.toArray().tolist(), float(fitted.intercept)


if __name__ == "__main__":
    main()
