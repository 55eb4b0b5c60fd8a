"""The truth: correct values with error bounds, and the comparison of results with them."""
