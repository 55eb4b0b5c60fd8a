"""Corners: what every run visits for certain, because random cases may miss it.

corners_of(recipe)        makers of the first cases of a recipe of one feature
layers, losses, rules     corners of one kind of feature each
stress                    corners of the stress recipes
"""
