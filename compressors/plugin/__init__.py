"""The way in for strangers: the contract, its adapters, and the message that they write."""
