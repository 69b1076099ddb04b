"""Objectives: (tokens, keys) -> batch, in NumPy, over whole batches."""
