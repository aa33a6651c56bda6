#!/bin/sh
# Compiles cmocka by musl-gcc, from Debian's source package, and installs it in PREFIX: Debian has it for glibc only.
#
#     tests/musl_cmocka.sh PREFIX
#
# Needs musl-tools, dpkg-dev, cmake, make and the network. The system's lists of packages stay as they are.
set -eu
prefix=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# shellcheck source=/dev/null
echo "deb-src http://deb.debian.org/debian $(. /etc/os-release && echo "$VERSION_CODENAME") main" >"$scratch/source.list"
mkdir -p "$scratch/lists/partial"
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$scratch/source.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$scratch/lists" -o APT::Sandbox::User=root "$@"
}
apt update
cd "$scratch"
apt source cmocka >/dev/null
CC=musl-gcc cmake -S cmocka-*/ -B build -DBUILD_SHARED_LIBS=OFF -DCMAKE_INSTALL_PREFIX="$prefix" >/dev/null
make -C build install >/dev/null
