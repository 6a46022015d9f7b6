"""Sketches and kernels: the attention output from a summary, a sample or a hash."""
