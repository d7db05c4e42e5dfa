"""Where schema changes come from."""
