"""Controls: their results are known beforehand, so they test the game and not themselves."""
