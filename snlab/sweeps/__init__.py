"""Sweeps: one W&B file, run here, on many machines or through W&B; no trial lost, none run twice."""
