"""Cases: recipes that draw them, and similar or smaller cases for a diagnosis."""
