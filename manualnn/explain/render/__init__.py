"""Writing an explanation as text and as Markdown."""
