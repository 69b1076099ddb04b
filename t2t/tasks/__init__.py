"""Text-to-text tasks: where examples come from, how they become text, how answers are read back."""
