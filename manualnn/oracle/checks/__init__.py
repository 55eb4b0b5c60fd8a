"""The checks: what each of them asserts about an engine's results."""
