"""What judges predictions: one idea a file, all listed in `catalog`."""
