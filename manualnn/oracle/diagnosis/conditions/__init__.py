"""Conditions of a failure: when the engine fails, tested on both sides with fresh cases.

`search` is the entry. `outcome` judges a case, `setting` draws fresh cases and tests a condition.
The other modules propose conditions, each for one kind of property.
"""
