"""From cells to a report: rows, resume, merging, executors, verdicts."""
