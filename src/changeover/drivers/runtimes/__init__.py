"""How instances are started and stopped."""
