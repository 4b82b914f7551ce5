"""`maskinfer synth`."""


def synth() -> None:
    """To come."""
