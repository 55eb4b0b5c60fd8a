"""Cases as files for engines elsewhere, and the judgement of their answers."""
