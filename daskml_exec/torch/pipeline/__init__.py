"""Pipeline parallelism: stages of a module that stay on Workers, and micro-batches between them."""
