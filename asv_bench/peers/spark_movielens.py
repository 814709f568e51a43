"""Factors of Spark's ALS for a list of settings: ``python spark_movielens.py FOLDER``.

Runs in an interpreter that has pyspark, and imports nothing of ours. The folder has `ratings.csv`,
lines of user, item and rating, and `settings.json`, a list of keyword arguments of Spark's `ALS`.
The n-th setting gets `n.npz`, with sorted ids and factors of both sides. Checkpoints go to the
folder, too: without, the lineage of fifteen iterations overflows the stack of Java.
"""

import json
import sys
from pathlib import Path

import numpy as np
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession


def columns(factors):
    """Return the ids and the factors of a frame of Spark's, in the order of ids."""
    rows = factors.orderBy("id").collect()
    return np.array([row.id for row in rows]), np.array([row.features for row in rows], np.float32)


def main() -> None:
    folder = Path(sys.argv[1])
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "2g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    spark.sparkContext.setCheckpointDir(str(folder / "checkpoints"))
    path = str(folder / "ratings.csv")
    ratings = spark.read.csv(path, schema="user INT, item INT, rating FLOAT").repartition(2)
    ratings = ratings.cache()
    ratings.count()
    for number, setting in enumerate(json.loads((folder / "settings.json").read_text())):
        model = ALS(numUserBlocks=2, numItemBlocks=2, checkpointInterval=5, **setting).fit(ratings)
        users, of_users = columns(model.userFactors)
        items, of_items = columns(model.itemFactors)
        np.savez(
            folder / f"{number}.npz", users=users, items=items, of_users=of_users, of_items=of_items
        )
    spark.stop()


if __name__ == "__main__":
    main()
