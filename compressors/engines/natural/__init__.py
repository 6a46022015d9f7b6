"""Streams of a real model: its texts, its keys, values and queries, and its loss."""
