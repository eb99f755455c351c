"""Scores of generated samples: fidelity through torch-fidelity's functions, and the modes of a mixture."""
