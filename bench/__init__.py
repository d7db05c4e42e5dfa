"""Speed, each figure as a ratio against a peer or a floor measured in the same run: `python -m bench`."""
