"""What is a user's own: its tests run where it is installed, and its names are its own to register."""

from __future__ import annotations

collect_ignore = ["own_package"]
