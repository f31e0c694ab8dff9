"""A delegate with a child of its own: ``delegate.py "WHO SECONDS"`` works so long, and says what it found."""

import subprocess
import sys
import time

from desk import write

who, seconds = sys.argv[1].split()
child = subprocess.Popen(["sleep", "900"])
write("delegate", who, child=child.pid)
time.sleep(float(seconds))
child.kill()
child.wait()
write("delegate done", who)
sys.stdout.write("Two plumbers are free.\n")
