"""The two places a command prints to: results to stdout, messages to stderr."""

from rich.console import Console

out = Console()
err = Console(stderr=True)


def say(message: str) -> None:
    """Print one message line to stderr, unwrapped and without markup."""
    err.print(message, soft_wrap=True, markup=False, highlight=False)
