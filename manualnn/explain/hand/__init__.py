"""Checking a calculation by hand: each number at its own digits, and where it first goes astray.

    check("mine.json", "run.json", decimals=4).text()

`reading` reads the numbers by their names, `own` computes what follows from them, `slips` tries
likely mistakes, and `check` compares.
"""
