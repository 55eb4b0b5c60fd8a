"""The report of a gradcheck, for people and for programs."""
