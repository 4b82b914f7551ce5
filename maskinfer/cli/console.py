"""The two places a command prints to: results to stdout, messages to stderr."""

from rich.console import Console

from maskinfer.results import printable_name

out = Console()
err = Console(stderr=True)


def say(message: str) -> None:
    """Print a message to stderr as one printable line, unwrapped and without markup."""
    line = printable_name(" ".join(message.splitlines()))
    err.print(line, soft_wrap=True, markup=False, highlight=False)
