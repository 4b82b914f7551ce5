"""The command line: `maskinfer`, or `python -m maskinfer`, which torchrun launches."""

import sys


def main() -> None:
    """Run it; Ctrl-C while it is still imported is one line too."""
    try:
        from .cli import main as command_line
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)  # 128 + SIGINT, as shells have it
    command_line()


if __name__ == "__main__":
    main()
