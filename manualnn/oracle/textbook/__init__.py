"""The textbook engine: every equation as a method, which bugs and controls override."""
