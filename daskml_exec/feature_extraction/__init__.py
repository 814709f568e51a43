"""Features from what is no matrix of numbers yet."""
