"""Photos in, predictions out: one, a folder, or a cluster of machines."""
