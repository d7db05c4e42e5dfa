"""`python -m changeover`."""

from changeover.ui.cli import main

if __name__ == "__main__":
    main()
