"""Runs on disk: their files, curves, comparison and page."""
