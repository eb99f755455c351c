"""From run folders to tables, figures and a report. Never imports torch.

from snlab.results import frame
frame("runs/")  # a pandas DataFrame, one row a run and metric
"""

from __future__ import annotations

from snlab.results.tidy import frame

__all__ = ["frame"]
