"""Eviction: whole tokens are kept or dropped, by what queries attended to."""
