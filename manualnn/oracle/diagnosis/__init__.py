"""Diagnosis of a failure: its smallest case, the wrong numbers, the condition, the likely bug."""
