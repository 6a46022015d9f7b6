"""What several compressors share: the flat state, and the caches that keep whole tokens."""
