"""What the tutorials on words share: texts, counts, modules, and how good they are."""
