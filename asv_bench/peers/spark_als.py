"""Seconds of an iteration of Spark's ALS: ``python spark_als.py CSV FACTORS ALPHA REG RUNS``.

Runs in an interpreter that has pyspark, and imports nothing of ours. Two threads, the ratings
cached. Spark does not tell of iterations: one takes the difference of fits of four and of one, over
three. The last line has a figure per run, as JSON.
"""

import json
import sys
import time

from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession


def main() -> None:
    path, factors, alpha, reg, runs = sys.argv[1:]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "8g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    ratings = spark.read.csv(path, schema="user INT, item INT, rating FLOAT").repartition(2)
    ratings = ratings.cache()
    ratings.count()

    def fit(iterations: int) -> float:
        als = ALS(
            rank=int(factors),
            maxIter=iterations,
            regParam=float(reg),
            alpha=float(alpha),
            implicitPrefs=True,
            numUserBlocks=2,
            numItemBlocks=2,
            seed=0,
        )
        began = time.perf_counter()
        als.fit(ratings)
        return time.perf_counter() - began

    fit(1)
    print(json.dumps([(fit(4) - fit(1)) / 3 for _ in range(int(runs))]))
    spark.stop()


if __name__ == "__main__":
    main()
