"""Known bugs of memory, history, precision and ignored options."""
