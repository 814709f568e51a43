"""Pure array mathematics on one block: no Dask, no cluster, no state."""
