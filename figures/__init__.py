"""One plot a file. Figures read tables and never run anything; ``gallery`` holds what is shown."""
