"""``python -m snlab``."""

from snlab.cli import main

if __name__ == "__main__":
    main()
