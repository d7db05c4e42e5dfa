"""One module per noun; each function is one command and returns its exit code."""
