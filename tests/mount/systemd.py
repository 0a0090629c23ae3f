"""A systemd of its own: process 1 of new namespaces, with a fstab and units that nobody outside sees.

Two things keep it from the machine, since a real boot empties /tmp and more. It finds no unit but the test's
own and those that it makes of the fstab: no sysinit.target, and nothing that belongs to it. And all but the
test's directory is read-only for it, which is tried before it starts.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import cannot_run, output, run
from tests.mount.conftest import processes_with, until

SYSTEMD = Path("/lib/systemd/systemd")

#: $1 is the test's directory, $2 the one to work in, $3 the name of a control group for all that is started.
_START = """
set -e
mount -t cgroup2 cgroup2 "$2/cgroup"
mkdir "$2/cgroup/$3"
echo $$ >"$2/cgroup/$3/cgroup.procs"
umount "$2/cgroup"
exec unshare --cgroup --pid --fork --mount-proc sh -c "$4" sh "$1" "$2"
"""
_INSIDE = """
set -e
mount --bind "$1" "$1"
cut -d' ' -f2 /proc/self/mounts | while read -r place; do
  case $place in "$1" | /proc) ;; *) mount -o remount,bind,ro "$place" ;; esac
done
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
for place in / /tmp /var/tmp /etc /dev /run /root /var/log "$(dirname "$1")"; do
  if (: >"$place/regfs-test-$$") 2>/dev/null; then echo "$place can be written"; exit 1; fi
done
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/lock
mount --bind "$2/programs" /usr/local/sbin
mount --bind "$2/fstab" /etc/fstab
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export SYSTEMD_UNIT_PATH="$2/units:/run/systemd/generator"
exec SYSTEMD --system --unit=regfs-test.target --show-status=no --log-target=console
"""
_TIDY = 'set -e; mount -t cgroup2 cgroup2 "$1/cgroup"; find "$1/cgroup/$2" -depth -type d -exec rmdir {} +'


class Systemd:
    """Started in `work`, which is made, with the units (by name) and the fstab. `close` ends all of it."""

    def __init__(self, work: Path, *, fstab: str = "", units: Mapping[str, str] | None = None) -> None:
        script = shutil.which("regfs", path=str(Path(sys.executable).parent))
        if script is None:
            cannot_run("regfs is not installed beside this Python")
        if not SYSTEMD.exists():
            cannot_run(f"there is no {SYSTEMD}")
        for name in ("programs", "units", "cgroup"):
            (work / name).mkdir(parents=True)
        (work / "programs/regfs").symlink_to(script)
        (work / "fstab").write_text(fstab)
        target = "[Unit]\nDefaultDependencies=no\n"
        for name, text in {"regfs-test.target": target, **(units or {})}.items():
            (work / "units" / name).parent.mkdir(exist_ok=True)
            (work / "units" / name).write_text(text)
        self._work, self._group = work, f"regfs-test-{os.getpid()}-{work.name}"
        inside = _INSIDE.replace("SYSTEMD ", f"{SYSTEMD} ")
        arguments = ("sh", "-c", _START, "sh", work.parent, work, self._group, inside)
        with (work / "log").open("w") as log:
            self._outer = subprocess.Popen(
                ["unshare", "--mount", "--uts", "--ipc", "--net", *arguments],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "container": "other"},
            )
        until(lambda: self._is_up() or self._outer.poll() is not None, "systemd")
        if self._outer.poll() is not None:
            self.close()
            cannot_run(f"no systemd can be started in namespaces: {(work / 'log').read_text()}")

    def _is_up(self) -> bool:
        children = self._children()
        if not children:
            return False
        target = ("--target", str(children[0]), "--mount", "--pid", "--ipc", "--uts")
        self._enter = ("nsenter", *target, "--", "timeout", "-s", "KILL", "30")
        return self.run("systemctl", "is-active", "regfs-test.target").stdout == "active\n"

    def _children(self) -> list[int]:
        """Give process 1, as it is called outside; nothing before it has begun, and after it has ended."""
        try:
            children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(child) for child in children.split()]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program under this systemd; one that hangs is killed."""
        return run(*self._enter, *command)

    def output(self, *command: str | Path) -> str:
        """Run a program that must succeed, and give what it printed."""
        return output(*self._enter, *command)

    def property(self, unit: str, name: str) -> str:
        """Tell one property of a unit."""
        return self.output("systemctl", "show", "--value", "-p", name, unit).strip()

    def close(self) -> None:
        """Kill process 1, and with it all that it started; its mounts go with the namespace."""
        for process in self._children():
            os.kill(process, signal.SIGKILL)
        self._outer.wait(20)
        until(lambda: not processes_with(self._work), "all its processes end")
        output("unshare", "--mount", "sh", "-c", _TIDY, "sh", self._work, self._group)
