"""One file a family: its sizes, its axes, its published-weight names."""
