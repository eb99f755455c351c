"""Run folders written by hand, as for tables and figures."""

from tests.results.conftest import lab

__all__ = ["lab"]
