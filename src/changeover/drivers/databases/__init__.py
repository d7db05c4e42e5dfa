"""Target databases."""
