"""Fully connected networks: layers, losses, optimisers, and steps over batches of rows."""
