"""The report as a page: its findings, its template, its style and its script."""
