"""Theorem 19's algorithms, which name the cells they read before there are any."""
