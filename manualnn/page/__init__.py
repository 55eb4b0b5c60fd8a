"""Pages for a browser: what the explanation's page and the oracle's report share."""
