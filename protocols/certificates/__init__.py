"""Small files that a sceptic re-derives."""
