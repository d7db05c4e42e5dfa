"""Pure: counters of two pools -> pass, abort, inconclusive."""
