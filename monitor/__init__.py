"""jakwatch: the pure core that judges and counts, and the shell around it."""

__version__ = "0.1.0"
