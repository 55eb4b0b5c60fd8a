"""The commands for tables: `train`, `predict`, `evaluate`, `info` and `export`."""
