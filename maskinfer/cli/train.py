"""`maskinfer train`."""


def train() -> None:
    """To come."""
