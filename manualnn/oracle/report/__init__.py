"""The report as text, JSON, JUnit and Markdown, its progress, and expected failures."""
