"""What each way to train a module would take, and which one ``parallel="auto"`` follows."""
