"""The three networks, and what each is to the loop."""
