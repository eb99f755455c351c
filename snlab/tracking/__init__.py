"""What a run leaves: its folder, checkpoints, the W&B mirror."""
