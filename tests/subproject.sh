#!/bin/sh
# A meson project with this one as its subproject, in sources that cannot be written; the amalgamation, since that is
# compiled in seconds. Usage: subproject.sh SOURCE
set -eu
source=$1
[ "${WG_TEST_LONG:-}" ] || { echo "subproject.sh: skipped: takes minutes: ./run test --long"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/project/subprojects/wengert" "$work/build"
tar -C "$source" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$work/project/subprojects/wengert" -xf -
cp "$source/tests/cpp/twin.c" "$work/project"
cat >"$work/project/meson.build" <<'END'
project('consumer', 'c')
executable('twin', 'twin.c', dependencies: dependency('wengert', fallback: 'wengert'))
END
chmod -R a-w,a+rX "$work/project"
as=
if [ "$(id -u)" = 0 ] && setpriv --bounding-set=-dac_override true 2>/dev/null; then # else root may write everything
    as="setpriv --bounding-set=-dac_override"
    if $as touch "$work/project/new" 2>/dev/null; then
        echo "subproject.sh: the sources can be written" >&2
        exit 1
    fi
fi
options="--force-fallback-for=wengert -Dbuildtype=debug -Dwengert:default_library=static -Dwengert:amalgamation=true"
# shellcheck disable=SC2086 # words
if ! { $as meson setup "$work/build" "$work/project" $options && $as ninja -C "$work/build" -j2 twin; } >"$work/log" 2>&1
then
    tail -40 "$work/log" >&2
    exit 1
fi
[ "$("$work/build/twin" | wc -l)" = 41 ] || {
    echo "subproject.sh: the program printed something else" >&2
    exit 1
}
chmod -R u+w "$work/project"
echo "a subproject, built from sources that are read-only, and run"
