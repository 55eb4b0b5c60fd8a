"""What engines and the oracle exchange: cases, capabilities and the table of features."""
