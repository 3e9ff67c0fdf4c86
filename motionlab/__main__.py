"""`python -m motionlab ...` is the same as `motionlab ...`."""

from motionlab.cli import main

if __name__ == "__main__":
    main()
