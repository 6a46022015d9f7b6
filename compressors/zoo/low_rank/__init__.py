"""Merging and low rank: several tokens, layers or dimensions share what is kept."""
