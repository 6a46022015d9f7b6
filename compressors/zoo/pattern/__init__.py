"""Fixed patterns: which positions are read is said before there is any data."""
