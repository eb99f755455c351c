"""What is claimed about speed, runnable: ``python -m benchmarks``. Results, dated, are in ``results/``."""
