"""Corners: what every run visits for certain, because random cases may miss it.

    layers, losses, rules     corners of the recipes of one feature
    stress                    corners of the stress recipes

A corner is a maker of cases, draft -> case. The first cases of a recipe are those of its corners.
"""
