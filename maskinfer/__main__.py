"""`python -m maskinfer`, which torchrun and accelerate launch."""

from .cli import main

if __name__ == "__main__":
    main()
