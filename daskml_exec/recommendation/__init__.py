"""Recommenders of items to users, trained over blocks of both."""
