"""Factors of users and items: half-steps, their sums, and the best items of a user."""
