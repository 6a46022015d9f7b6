"""What counts mean: the ledger, betting over messages, verdicts."""
