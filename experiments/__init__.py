"""One claim a file: its grid, its run, its check. Beside them the runner, the store, regress."""
