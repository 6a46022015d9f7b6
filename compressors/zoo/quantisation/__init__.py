"""Quantisation: every token, at a few bits a number."""
