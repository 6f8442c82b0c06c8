"""Peers that the stream is measured against: the same job in their own way, each a program of its own."""
