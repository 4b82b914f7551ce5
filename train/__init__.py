"""Networks, losses, the training loop, and synthetic data."""
