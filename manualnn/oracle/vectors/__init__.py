"""Cases as files for engines in other languages, and the judgement of their answers."""
