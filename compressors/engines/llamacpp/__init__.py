"""llama.cpp's caches, unmodified, in a synthetic model."""
