"""Networks for an audit, each asked about images that it did not learn."""
