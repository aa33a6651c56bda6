#!/bin/sh
# Builds the Debian packages from a copy of the sources, unpacks them, and compiles and runs a program with what is in
# them alone, with the shared library and with the static one. Usage: debian.sh SOURCE
set -eu
source=$1
[ "${WG_TEST_LONG:-}" ] || { echo "debian.sh: skipped: takes minutes: ./run test --long"; exit 77; }
for tool in dpkg-buildpackage dh; do
    command -v "$tool" >/dev/null 2>&1 || { echo "debian.sh: skipped: no $tool (dpkg-dev, debhelper)"; exit 77; }
done
for package in libblis-serial-dev libsleef-dev zlib1g-dev; do
    dpkg-query -W "$package" >/dev/null 2>&1 || { echo "debian.sh: skipped: no $package"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/wengert" "$work/root"
tar -C "$source" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$work/wengert" -xf -
unset CC CFLAGS MESON_EXE_WRAPPER # this build's; packages are made by Debian's compiler
# -d: the tools need not be Debian's. noopt: it takes less time.
export DEB_BUILD_OPTIONS="nocheck noopt parallel=2"
if ! (cd "$work/wengert" && dpkg-buildpackage -d -us -uc -b) >"$work/log" 2>&1; then
    tail -40 "$work/log" >&2
    exit 1
fi
for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
lines=$(dpkg-deb -c "$work"/libwengert0_*.deb | grep -c 'libwengert\.so\.0' || :)
[ "$lines" = 2 ] || { echo "debian.sh: libwengert0 has not libwengert.so.0 and what it links to" >&2; exit 1; }
dpkg-deb -f "$work"/libwengert-dev_*.deb Depends | grep -q 'libwengert0 (= ' ||
    { echo "debian.sh: libwengert-dev does not depend on libwengert0" >&2; exit 1; }

folder=$(dirname "$(find "$work/root" -name libwengert.a)")
system=$(pkg-config --variable pc_path pkg-config) # of sleef and zlib, which wengert.pc names
export PKG_CONFIG_SYSROOT_DIR="$work/root" PKG_CONFIG_LIBDIR="$folder/pkgconfig:$system"
cflags=$(pkg-config --cflags wengert)
# shellcheck disable=SC2086 # words
cc "$source/tests/cpp/twin.c" -o "$work/shared" $cflags -L"$folder" -lwengert
LD_LIBRARY_PATH=$folder "$work/shared" >"$work/out"
private=$(sed -n 's/^Libs.private: //p' "$folder/pkgconfig/wengert.pc")
# shellcheck disable=SC2086 # words
cc "$source/tests/cpp/twin.c" -o "$work/static" $cflags "$folder/libwengert.a" $private -lsleef -lz
"$work/static" | cmp - "$work/out"
[ "$(wc -l <"$work/out")" = 41 ] || { echo "debian.sh: the program printed something else" >&2; exit 1; }

checked=
if command -v lintian >/dev/null 2>&1; then
    lintian --fail-on error "$work"/*.changes >"$work/lintian" 2>&1 || { cat "$work/lintian" >&2; exit 1; }
    checked=", no error by lintian ($(grep -c ^W "$work/lintian" || :) warnings)"
fi
echo "packages built, unpacked, linked and run$checked"
