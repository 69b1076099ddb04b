"""Judging a model: running tasks on it, the metrics, and the tables of what came out."""
