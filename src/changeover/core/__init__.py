"""The pure core: nouns, rules, plans. No I/O, no clock, no randomness."""
