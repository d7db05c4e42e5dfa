"""YAML as a tree in which everything knows where it was written; strict, and with errors in words. Knows nothing of changeover."""
