"""The games: what is drawn, who plays, what is counted."""
