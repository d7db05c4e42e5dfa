"""The door: what the command line, the screen and Python users call."""
