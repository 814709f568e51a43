"""Model parallelism: units that stay on Workers, groups of peers, segments, backups."""
