"""Writing for people: standard output, whole files, tables and the progress bar."""
