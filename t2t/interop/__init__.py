"""Checkpoints that others published: Hugging Face in and out, T5X in; read leaf by leaf."""
