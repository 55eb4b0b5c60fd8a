"""Inputs: shapes, domains and the points that are drawn from them."""
