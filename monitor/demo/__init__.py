"""Data to show and to test with: the paper's two cases and hospitals that never existed."""
