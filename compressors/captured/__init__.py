"""Keys, queries and values of a real model on a real text, in files."""
