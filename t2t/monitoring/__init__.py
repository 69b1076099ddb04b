"""Metric writers, progress, FLOPs, run facts."""
