"""Our models beside their peers: ``cd asv_bench; python -m peers --help``."""
