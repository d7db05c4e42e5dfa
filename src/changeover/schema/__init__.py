"""Pure: a schema change -> classified, phased SQL."""
