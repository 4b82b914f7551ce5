"""`python -m maskinfer`, which torchrun and accelerate launch."""

from maskinfer.cli import main

if __name__ == "__main__":
    main()
