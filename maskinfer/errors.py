"""What maskinfer raises when it is not to blame.

MaskinferError            base: one line saying what is wrong and what to do; exit code 1
├── UsageError            the command line or the arguments cannot mean anything; exit code 2
│   └── ProviderError     an execution provider was asked for that does not run here
├── LabelError            a file name that does not follow the data-set contract
├── ImageError            a file that cannot be read as an image
│   └── TransientError    a file that cannot be read now, though perhaps later
├── UnreachableError      the place of all files, which was there before
├── DatasetError          a data set that cannot be used: missing, empty, no labels
├── AnnotationError       an annotation file that cannot be understood
├── ModelFileError        a model file that is missing, damaged, or not ours
├── RunError              a run folder that is missing or incomplete
├── ExportError           a model that cannot be built, or disagrees with its checkpoint
└── TrainingError         training that cannot continue, such as a loss that is not a number

An assertion that fails is our bug; an exception from this module is about the user's input.
"""


class MaskinferError(Exception):
    """Base of every error a user can cause and mend."""

    exit_code = 1


class UsageError(MaskinferError):
    """The command line or the arguments cannot mean anything."""

    exit_code = 2


class ProviderError(UsageError):
    """An execution provider was asked for that does not run here."""

    def __init__(self, provider: str, obstacle: str) -> None:
        """Take the provider's name, and what stands in its way."""
        super().__init__(
            f"--provider {provider}: {obstacle}. To run on what there is: --provider auto"
        )
        self.obstacle = obstacle


class LabelError(MaskinferError):
    """A file name that does not follow the data-set contract."""


class ImageError(MaskinferError):
    """A file that cannot be read as an image."""


class TransientError(ImageError):
    """A file that cannot be read now, though perhaps later."""


class UnreachableError(MaskinferError):
    """The place of all files, which was there before."""


class DatasetError(MaskinferError):
    """A data set that cannot be used."""


class AnnotationError(MaskinferError):
    """An annotation file that cannot be understood."""


class ModelFileError(MaskinferError):
    """A model file that is missing, damaged, or not ours."""


class RunError(MaskinferError):
    """A run folder that is missing or incomplete."""


class ExportError(MaskinferError):
    """A model that cannot be built, or that predicts something else than its checkpoint."""


class TrainingError(MaskinferError):
    """Training that cannot continue."""
