"""One product each; they know only the core."""
