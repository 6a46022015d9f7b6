"""What everything is compared with: the whole cache, and the plainest way of each kind."""
