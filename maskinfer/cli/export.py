"""`maskinfer export`."""


def export() -> None:
    """To come."""
