"""The pure core: it reads no clock, file, topic or random source, and takes and returns values."""
