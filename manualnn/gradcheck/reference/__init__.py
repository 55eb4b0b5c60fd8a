"""The derivative of a function from its values alone, with an error of its own."""
