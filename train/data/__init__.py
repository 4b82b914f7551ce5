"""A training run's samples, and batches made of them."""
