"""The oracle: is an engine's backpropagation right, and if not, what is wrong with it?"""
