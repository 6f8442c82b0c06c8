"""A slow, obvious `replay` from the contract alone: it judges the fast core, so it must be too plain to be wrong."""
