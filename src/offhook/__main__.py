"""``python -m offhook``."""

from offhook.cli import main

if __name__ == "__main__":
    main()
