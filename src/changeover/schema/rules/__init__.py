"""The catalogue of what a running version survives: effect x phase -> allowed, with a lock, or refused, with a rewrite."""
