"""How the game is played, and what a result means."""
