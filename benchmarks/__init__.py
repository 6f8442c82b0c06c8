"""How fast jakwatch is, how much memory it takes, and against which goals: `python -m benchmarks`."""
