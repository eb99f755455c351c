"""Weights as matrices, power iteration, evaluation mode: torch alone."""
