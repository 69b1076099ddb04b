"""Network(s) and an objective's loss put together into one `loss_fn`."""
