"""Check the gradient of any function, without a tolerance to set."""
