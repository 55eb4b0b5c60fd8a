"""What is wrong with an engine, and why: shrinking, locating and naming a failure."""
