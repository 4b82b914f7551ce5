"""Images at an address such as `s3://bucket/photos`: listing them, and reading them.

pyarrow reads S3, Google Cloud Storage, Azure, HDFS and `file://` by itself; other schemes go to
fsspec and its packages. Both look for credentials themselves: environment, configuration files, the
machine's role.
"""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from maskinfer.errors import DatasetError, ImageError, TransientError, UsageError

from .folders import Failure, walk
from .images import MAX_FILE_BYTES

_LONGEST_REASON = 200  # characters


def is_address(text: str) -> bool:
    """Whether it names a place on a file system other than this machine's."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


@dataclass(frozen=True)
class RemoteSource:
    """The images at an address, sorted, under the rules of `folders.scan_folder`.

    It can be pickled; each process connects for itself.
    """

    address: str  # scheme, bucket or server, and folder
    recursive: bool = True  # whether folders in the folder are searched too
    sorted: bool = True

    def __str__(self) -> str:
        return self.address

    def __iter__(self) -> Iterator[str | Failure]:
        """Names relative to the address, with `/`; a failure for a folder that cannot be listed."""
        return walk(self.address, self._list, recursive=self.recursive)

    def image(self, name: str) -> bytes:
        """Read one file whole; an `ImageError` says why not, without the name."""
        file_system, root = _connect(self.address)
        try:
            with file_system.open_input_file(_join(root, name)) as file:
                if file.size() > MAX_FILE_BYTES:
                    raise ImageError(f"larger than {MAX_FILE_BYTES // 10**6} MB")
                data: bytes = file.read()
        except ImageError:
            raise
        except (FileNotFoundError, PermissionError) as error:
            raise ImageError(_reason(error)) from error
        except Exception as error:  # fsspec's file systems raise whatever their services report
            raise TransientError(_reason(error)) from error
        return data

    def is_reachable(self, name: str) -> bool:
        """Whether the address answers."""
        try:
            file_system, root = _connect(self.address)
            return bool(file_system.get_file_info(root).type)
        except Exception:  # likewise
            return False

    def beside(self, name: str) -> list[str]:
        """All names in the folder."""
        return [entry.rstrip("/") for entry in self._list(name.rpartition("/")[0])]

    def stamp(self, name: str) -> None:
        """Nothing: to ask for each file once more would take as long as to read it."""

    def _list(self, prefix: str) -> list[str]:
        file_system, root = _connect(self.address)
        import pyarrow.fs

        try:
            folder = pyarrow.fs.FileSelector(_join(root, prefix).rstrip("/"))
            entries = file_system.get_file_info(folder)
        except Exception as error:  # fsspec's file systems raise whatever their services report
            raise DatasetError(_reason(error)) from error
        ends = {pyarrow.fs.FileType.Directory: "/"}
        return [info.base_name + ends.get(info.type, "") for info in entries]


@cache
def _connect(address: str) -> tuple[Any, str]:
    """Pyarrow's file system of an address, and the path on it."""
    try:
        import pyarrow
        import pyarrow.fs
    except ModuleNotFoundError:
        raise UsageError(
            f"{address}: pyarrow is not installed, which reads it. Run, in the project's folder: "
            "pip install '.[parquet]'"
        ) from None
    try:
        place: tuple[Any, str] = pyarrow.fs.FileSystem.from_uri(address)
        return place
    except pyarrow.ArrowInvalid as error:  # a scheme that pyarrow does not know, or bad options
        unknown = error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{address}: cannot be reached, {_reason(error)}") from error
    try:
        import fsspec

        file_system, path = fsspec.core.url_to_fs(address)
    except ModuleNotFoundError as error:
        raise UsageError(f"{address}: {error.name} is not installed, which reads it") from None
    except ImportError as error:  # fsspec says which package to install
        raise UsageError(f"{address}: {_reason(error)}") from None
    except ValueError:
        raise UsageError(f"{address}: {_reason(unknown)}") from None
    except OSError as error:
        raise DatasetError(f"{address}: cannot be reached, {_reason(error)}") from error
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(file_system)), path


def _join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}" if root else name


def _reason(error: Exception) -> str:
    """What a file system reports, in one short line."""
    if isinstance(error, FileNotFoundError):  # fsspec's have a path for text, and no number
        return os.strerror(errno.ENOENT)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    text = " ".join(str(error).split()) or type(error).__name__
    if aws := re.search(r"AWS Error (\w+) .*?: (.*?)( \(Request ID|; Details|$)", text):
        text = f"{aws[2]} ({aws[1]})"
        if aws[1] in ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH"):
            text += ". Credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws"
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
