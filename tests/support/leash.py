"""Run a command for as long as standard input stays open: `leash.py FOLDER COMMAND...`.

The broker's parent. When the test run ends, in whatever way (Ctrl-C, SIGKILL), its end of the pipe
closes; then the command is killed and FOLDER, its data, removed. Imports nothing of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading


def main() -> None:
    """Start the command; end it and remove its folder when standard input closes."""
    folder, *command = sys.argv[1:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def leave_with_child() -> None:
        os._exit(child.wait())

    threading.Thread(target=leave_with_child, daemon=True).start()
    try:
        sys.stdin.buffer.read()
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # before the kill: that ends this process too
        child.kill()
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
