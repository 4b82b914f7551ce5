"""`maskinfer import`."""


def import_() -> None:
    """To come."""
