"""Known bugs of update rules and of their state."""
