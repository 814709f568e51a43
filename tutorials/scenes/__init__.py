"""Scenes of several small images: made, measured and drawn, for the tutorials on PyTorch."""
