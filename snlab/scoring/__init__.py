"""Scoring checkpoints after training: a run's networks made again, and its numbers to the last digit."""
