"""The network: its layers in sequence, its passes, and the arrays that a step works in."""
