"""The life of a cache: schedules of operations, what must survive them, and what does."""
