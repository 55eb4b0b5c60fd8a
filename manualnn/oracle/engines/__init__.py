"""Engines: clients in this process and in other ones, and validation of results."""
