"""The paper's own algorithms, and those of its follow-ups."""
