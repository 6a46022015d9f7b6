"""kvbarrier: the executable form of *Compression Barriers for Autoregressive Transformers*."""

__version__ = "0.1.0"
