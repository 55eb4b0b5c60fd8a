"""The correct values, their error bounds, and the decision what is wrong."""
