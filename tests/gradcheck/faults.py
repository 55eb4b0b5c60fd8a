"""Alarms on right functions of the benchmark that are right: faults of releases.

FAULTS[name] says who is right, with a minimal input, the result, and the truth with 50 digits.
"""

FAULTS: dict[str, str] = {}
