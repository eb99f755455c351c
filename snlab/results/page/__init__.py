"""What the offline page holds: the data of its panels, and the files that make a browser draw them.

Every number comes from the functions that ``snlab table`` and ``snlab figure`` read; the scripts in ``web``
only choose, place and draw them.
"""
