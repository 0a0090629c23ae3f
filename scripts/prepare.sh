# Sourced by the other scripts: installs what they need, and says what could not be installed.
# Sets PYTHON, an interpreter with regfs and its test tools, in .venv of this checkout.

# Programs that a job needs, by the package manager of the machine.
packages_for() {
  case "$1:$2" in
    demo:apt-get) echo "fuse3 python3 python3-venv attr" ;;
    demo:dnf) echo "fuse3 python3 python3.11 attr" ;;
    demo:apk) echo "fuse python3 attr" ;;
    test:apt-get) echo "libfuse2 fuse3 python3 python3-venv attr docker-registry skopeo strace rsync bindfs zstd xz-utils umoci buildah mmdebstrap autofs logrotate plocate sqlite3 fuse-overlayfs restic fio systemd" ;;
    test:dnf) echo "fuse-libs fuse python3 python3.11 attr skopeo strace rsync bindfs zstd xz umoci buildah autofs logrotate plocate sqlite fuse-overlayfs restic fio systemd" ;;
    test:apk) echo "fuse python3 attr skopeo strace rsync bindfs zstd xz util-linux coreutils findutils tar umoci buildah autofs logrotate plocate sqlite fuse-overlayfs restic fio" ;;
    objects:apt-get) echo "curl" ;;
    objects:dnf) echo "curl" ;;
    objects:apk) echo "curl" ;;
    interop:apt-get) echo "podman containerd" ;;
    interop:dnf) echo "podman containerd" ;;
    interop:apk) echo "podman containerd" ;;
    browser:apt-get) echo "chromium-headless-shell fonts-dejavu-core" ;;
    browser:dnf) echo "chromium-headless dejavu-sans-fonts" ;;
    browser:apk) echo "chromium font-dejavu" ;;
    bench:apt-get) echo "libfuse2 fuse3 python3 python3-venv bindfs strace rclone docker-registry restic borgbackup python3-pyfuse3 fio e2fsprogs" ;;
    bench:dnf) echo "fuse-libs fuse python3 python3.11 bindfs strace restic borgbackup python3-llfuse fio e2fsprogs" ;;
    bench:apk) echo "fuse python3 bindfs strace restic borgbackup py3-pyfuse3 fio coreutils findutils tar e2fsprogs" ;;
  esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# One package at a time where the whole set fails: names differ between releases, and the tests say
# themselves what they lack.
prepare_packages() {
  local job=$1 manager wanted missing=() name
  for manager in apt-get dnf apk ""; do
    if [ -z "$manager" ] || command -v "$manager" >/dev/null; then break; fi
  done
  if [ -z "$manager" ]; then
    echo "no apt-get, dnf or apk here; install by hand: $(packages_for "$job" apt-get)" >&2
    return
  fi
  wanted=$(packages_for "$job" "$manager")
  for name in $wanted; do
    installed "$manager" "$name" || missing+=("$name")
  done
  if [ ${#missing[@]} = 0 ]; then return; fi
  echo "installing: ${missing[*]}" >&2
  case $manager in
    apt-get)
      export DEBIAN_FRONTEND=noninteractive
      as_root apt-get update -qq
      as_root apt-get install -y -qq "${missing[@]}" >/dev/null ||
        for name in "${missing[@]}"; do
          as_root apt-get install -y -qq "$name" >/dev/null || as_root apt-get install -y -qq "${name}t64" >/dev/null ||
            echo "could not install $name" >&2
        done
      ;;
    dnf) for name in "${missing[@]}"; do as_root dnf install -y -q "$name" || echo "could not install $name" >&2; done ;;
    apk) for name in "${missing[@]}"; do as_root apk add -q "$name" || echo "could not install $name" >&2; done ;;
  esac
}

# Prometheus's promtool beside the Python of .venv, without its package, which would start a server.
prepare_promtool() {
  if command -v promtool >/dev/null || [ -x .venv/bin/promtool ] || ! command -v apt-get >/dev/null; then return; fi
  local work
  work=$(mktemp -d)
  chmod 755 "$work"
  (cd "$work" && apt-get download -qq prometheus 2>/dev/null && dpkg-deb --fsys-tarfile prometheus_*.deb | tar x ./usr/bin/promtool) &&
    install "$work/usr/bin/promtool" .venv/bin/ || echo "could not fetch promtool" >&2
  rm -r "$work"
}

installed() {
  case $1 in
    apt-get) [ "$(dpkg-query -W -f '${db:Status-Status}' "$2" 2>/dev/null)" = installed ] ||
      [ "$(dpkg-query -W -f '${db:Status-Status}' "${2}t64" 2>/dev/null)" = installed ] ;;
    dnf) rpm -q "$2" >/dev/null 2>&1 ;;
    apk) apk info -e "$2" >/dev/null 2>&1 ;;
  esac
}

# Make .venv with regfs, and the extra named, once for each state of the files that say what belongs there.
prepare_python() {
  local extra=${1:-} python state
  PYTHON=$PWD/.venv/bin/python
  python=$(a_python)
  state=$({ "$python" -VV; cat pyproject.toml requirements.lock regfs/__init__.py; } | sha256sum)
  if [ -x "$PYTHON" ] && grep -qsxF "$state $extra" .venv/state; then return; fi
  if ! grep -qsF "$state" .venv/state; then
    echo "making .venv" >&2
    "$python" -m venv --clear .venv
  fi
  "$PYTHON" -m pip install -q -q --disable-pip-version-check -c requirements.lock -e ".${extra:+[$extra]}"
  printf '%s %s\n' "$state" "" "$state" "$extra" >>.venv/state
}

# The distribution's own is the first: what regfs is packaged for, and a fifth faster than those of pyenv, which
# are shared libraries.
a_python() {
  local name
  for name in /usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.10; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "no Python 3.10 or newer found" >&2
  return 1
}
