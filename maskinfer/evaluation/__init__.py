"""How good predictions are, and whether two models differ."""
