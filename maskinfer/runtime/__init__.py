"""Model files, and what runs them on this machine."""
