"""Models for tables of data: CSV files, preparation, training, prediction and scores."""
