"""Benchmarks for asv: a file for each claim in the README."""
