"""Mesh, logical-axis mappings, and the shardings of states and batches."""
