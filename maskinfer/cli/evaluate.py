"""`maskinfer evaluate`."""


def evaluate() -> None:
    """To come."""
