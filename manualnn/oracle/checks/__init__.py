"""The checks of an engine: assertions about its results."""
