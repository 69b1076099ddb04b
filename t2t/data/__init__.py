"""Sources, tokenizers, token store, sample order, packing plan and batches: text in, NumPy batches out."""
