"""Asking an engine: in this process or in another one, with its answers validated."""
