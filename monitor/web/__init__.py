"""The single machine's face: pages for people, an API for hospital systems."""
