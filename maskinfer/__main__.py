"""The command line: `maskinfer`, or `python -m maskinfer`, which torchrun launches."""

import sys
from contextlib import suppress
from typing import Any, TextIO


class _Forgiving:
    """A stream that may be full or gone: where nobody can be told, the work counts all the same."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def main() -> None:
    """Run it; Ctrl-C while it is still imported is one line too."""
    if sys.stderr is not None:
        sys.stderr = _Forgiving(sys.stderr)
    try:
        from .cli import main as command_line
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)  # 128 + SIGINT, as shells have it
    command_line()


if __name__ == "__main__":
    main()
