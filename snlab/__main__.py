"""``python -m snlab``."""

import sys

from snlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
