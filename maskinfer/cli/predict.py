"""`maskinfer predict`."""


def predict() -> None:
    """To come."""
