"""Networks for tables: reading a file, preparing columns, training, predicting and reporting."""
