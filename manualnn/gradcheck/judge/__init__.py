"""The decision whether a gradient is wrong."""
