"""Protocol between engines and the oracle: cases, capabilities, schemas, the table of features."""
