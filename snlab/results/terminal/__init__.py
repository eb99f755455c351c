"""Runs as one looks at them in a terminal: a list of them, one of them, several side by side."""
