"""``snlab reproduce``: what belongs to one paper's tables and figures, from its sweeps to a page."""
