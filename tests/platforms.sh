#!/bin/sh
# Builds and tests on other platforms, each in a bare system that debootstrap makes. As root, with the network:
#
#     tests/platforms.sh debian12 debian13 ubuntu24 ubuntu22 clang musl aarch64      one or more of these
#
#     debian12, debian13, ubuntu24   gcc 12, 14, 13: ./run test, which installs what it needs
#     ubuntu22                       meson is too old there: ./run says so before it installs anything
#     clang                          ./run test on Debian 13 by its clang
#     musl                           musl-gcc, cmocka compiled from source; neither SLEEF, BLIS nor zlib: no musl packages
#     aarch64                        cross compiler of Debian 12, with SLEEF and zlib, under qemu-user
#
# Systems and logs are in $WG_PLATFORMS, or in /var/tmp/wengert-platforms. The sources are those of the last commit.
set -eu
cd "$(dirname "$0")/.."
work=${WG_PLATFORMS:-/var/tmp/wengert-platforms}
packages="meson ninja-build pkg-config" # where ./run does not install them
mkdir -p "$work"

enter() { # COMMAND: as root in the system $root, in /wengert
    # shellcheck disable=SC2016 # the inner shell expands
    unshare --mount sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
        exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            sh -c "cd /wengert; $1"' "$root" "$1"
}

unpack() { # SUITE FOLDER
    rm -rf "$2"
    mkdir "$2"
    tar -C "$2" -xf "$work/$1.tar"
}

ubuntu_keyring() { # prints the file; Debian 13 has it as a package, Debian 12 has not
    key=$work/ubuntu.gpg
    if [ ! -f "$key" ]; then
        base trixie
        root=$work/keys
        unpack trixie "$root"
        enter "apt-get update -qq; apt-get install -y -qq ubuntu-keyring" >&2
        cp "$root/usr/share/keyrings/ubuntu-archive-keyring.gpg" "$key"
        rm -rf "$root"
    fi
    echo "$key"
}

base() { # SUITE: makes $work/SUITE.tar
    [ -f "$work/$1.tar" ] && return
    command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap
    case $1 in
    jammy | noble) set -- "$1" jammy --components=main,universe "--keyring=$(ubuntu_keyring)" ;;
    *) set -- "$1" sid ;;
    esac
    suite=$1 script=$2
    shift 2
    fresh=$work/$suite.new
    rm -rf "$fresh"
    debootstrap --variant=minbase "$@" "$suite" "$fresh" "" "/usr/share/debootstrap/scripts/$script" >"$work/$suite.log" 2>&1 ||
        { tail -5 "$work/$suite.log" >&2; exit 1; }
    apt-config dump | grep -i '^Acquire::.*proxy\|^Acquire::Check' >"$fresh/etc/apt/apt.conf.d/99host" || :
    mkdir "$fresh/wengert"
    tar -C "$fresh" -cf "$work/$suite.tar" .
    rm -rf "$fresh"
}

system() { # SUITE: unpacks a bare one for the platform, with the sources
    base "$1"
    root=$work/$platform
    unpack "$1" "$root"
    git archive HEAD | tar -C "$root/wengert" -xf -
}

get() { echo "apt-get update -qq && apt-get install -y -qq --no-install-recommends $* >/dev/null"; }

platform() { # NAME
    case $1 in
    debian12) system bookworm ;;
    debian13 | clang) system trixie ;;
    ubuntu24) system noble ;;
    ubuntu22) system jammy ;;
    musl | aarch64) system bookworm ;;
    *) echo "platforms.sh: there is no platform '$1'" && return 1 ;;
    esac
    case $1 in
    debian* | ubuntu24) enter "./run test" ;;
    ubuntu22)
        ! enter "./run test" || { echo "with an old meson?" && return 1; }
        ! enter "command -v gcc" || { echo "it installed packages first" && return 1; }
        ;;
    clang) enter "$(get clang) && CC=clang ./run test" ;;
    musl)
        enter "$(get "$packages" gcc libc6-dev musl-tools dpkg-dev cmake make) && tests/musl_cmocka.sh /root/musl"
        enter "export CC=musl-gcc
            meson setup build -Dwerror=true -Dtests=enabled -Dpkg_config_path=/root/musl/lib/pkgconfig && ninja -C build &&
            meson test -C build --no-rebuild --print-errorlogs -t 3"
        ;;
    aarch64)
        enter "dpkg --add-architecture arm64 && $(get "$packages" gcc libc6-dev gcc-aarch64-linux-gnu qemu-user \
            libc6-dev:arm64 libcmocka-dev:arm64 libsleef-dev:arm64 zlib1g-dev:arm64)"
        enter "export CC=aarch64-linux-gnu-gcc
            meson setup build --cross-file tests/cross/aarch64.ini -Dwerror=true -Dtests=enabled && ninja -C build &&
            meson test -C build --no-rebuild --print-errorlogs -t 20"
        ;;
    esac
}

[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2; }
failed=0
for platform in "$@"; do
    log=$work/$platform.txt
    set +e # inside of a condition, the other -e would have no effect
    (set -e; platform "$platform") >"$log" 2>&1
    code=$?
    set -e
    if [ $code = 0 ]; then result=passed; else result=FAILED failed=1; fi
    echo "== $platform: $result ($log)"
    grep -E '^(Ok|Fail|Timeout|Skipped|run):' "$log" || tail -5 "$log"
done
exit $failed
