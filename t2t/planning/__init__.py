"""What a run would need on hardware that is not here: the real step, compiled ahead of time."""
