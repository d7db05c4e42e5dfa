"""The grammar that the engines share: a reader over tokens, and the clauses that occur in many statements."""
