#!/bin/sh
# Installs into a new folder and checks it: every header compiles alone in C11 and C++17, every exported name has the
# prefix, a small program builds with the pkg-config file. Usage: install.sh SOURCE BUILD
set -eu
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR="$work" meson install -C "$build" --no-rebuild --quiet
pc=$(find "$work" -name wengert.pc)
lib=$(find "$work" -name 'libwengert.so.0')
[ -n "$pc" ] && [ -n "$lib" ] || { echo "install.sh: no wengert.pc or libwengert.so.0" >&2; exit 1; }

foreign=$(nm -D --defined-only "$lib" | awk '$2 ~ /[A-TV-Z]/ && $3 !~ /^wg_/ { print $3 }')
[ -z "$foreign" ] || { echo "install.sh: exported without prefix: $foreign" >&2; exit 1; }
internal=$(nm -D --defined-only "$lib" | awk '$3 ~ /^wg__/ { print $3 }')
[ -z "$internal" ] || { echo "install.sh: internal names exported: $internal" >&2; exit 1; }

include=$(dirname "$(find "$work" -name wengert.h)")
for header in $(cd "$include" && find . -name '*.h'); do
    echo "#include \"$header\"" >"$work/one.c"
    ${CC:-cc} -std=c11 -Wall -Wextra -pedantic -Werror -I"$include" -fsyntax-only "$work/one.c"
    if command -v c++ >/dev/null 2>&1; then
        c++ -x c++ -std=c++17 -Wall -Wextra -pedantic -Werror -I"$include" -fsyntax-only "$work/one.c"
    fi
done

cat >"$work/consumer.c" <<'EOF'
#include <stdio.h>
#include <wengert.h>
int main(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x = wg_scalar(tape, WG_F32, 3);
    printf("%g %s\n", wg_item(wg_grad1(wg_square(x), x, WG_NONE)), wg_version());
    wg_tape_free(tape);
    return 0;
}
EOF
PKG_CONFIG_PATH=$(dirname "$pc") PKG_CONFIG_SYSROOT_DIR=$work
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
flags=$(pkg-config --cflags --libs wengert)
# shellcheck disable=SC2086
${CC:-cc} "$work/consumer.c" -o "$work/consumer" $flags -Wl,-rpath,"$(dirname "$lib")" ${WG_TEST_LINK_ARGS:-}
[ "$("$work/consumer")" = "6 0.1.0" ] || { echo "install.sh: the consumer printed something else" >&2; exit 1; }
echo "installed, linked and run"
