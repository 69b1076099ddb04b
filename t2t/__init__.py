"""t2t: pre-train, fine-tune and evaluate text-to-text transformers in JAX."""

__version__ = "0.1.0"
