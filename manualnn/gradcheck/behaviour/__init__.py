"""Checks of more than values: linearity, memory, repeatability, second derivatives."""
