"""Checkpoints of other systems, in and out: Hugging Face directories, T5X checkpoints."""
