"""The commands of `jakwatch`, one module each."""
