"""Runs the command that follows, and writes seconds, kilobytes and status to the descriptor given first.

A process counts the memory of the one that started it as its own until it runs its program, and its peak
keeps that. So this one starts it, which is small: python -I -S launcher.py DESCRIPTOR COMMAND...
"""

import os
import sys
import time

report, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(report, False)
began = time.perf_counter()
process = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - began
os.write(report, f"{seconds} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}".encode())
