"""Turning a trained model's distribution into text."""
