"""`python -m regfs` is the command `regfs`."""

from regfs.cli import main

if __name__ == "__main__":
    main()
