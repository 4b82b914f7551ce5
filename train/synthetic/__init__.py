"""Labelled photos, drawn from a seed; needs only numpy and Pillow."""
