"""Labelled photos: boxes, labels, decoding, geometry, folders, data sets and their cleaning."""
