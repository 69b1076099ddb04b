"""The shared transformer, described by its axes (`architecture.Architecture`)."""
