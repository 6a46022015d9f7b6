"""transformers' caches, and anybody's Cache class, in a carrier model."""
