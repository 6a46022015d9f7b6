"""Codecs of plain arrays, with the attention done by us."""
