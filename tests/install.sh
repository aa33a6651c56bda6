#!/bin/sh
# Installs into a new folder and checks it: every header compiles alone in C11 and C++17, every exported name has the
# prefix, a small program builds with the pkg-config file, statically, and, if there is a cmake, with the CMake package,
# also of a moved installation. Usage: install.sh BUILD both|shared|static
set -eu
build=$1
kind=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR="$work" meson install -C "$build" --no-rebuild --quiet
case $kind in # default_library
both) files="libwengert.so.0 libwengert.a" ;;
shared) files=libwengert.so.0 ;;
static) files=libwengert.a ;;
esac
for file in $files wengert.pc wengert-config.cmake LICENSE; do
    [ -n "$(find "$work" -name "$file")" ] || { echo "install.sh: no $file" >&2; exit 1; }
done
pc=$(find "$work" -name wengert.pc)
folder=$(dirname "$(dirname "$pc")")

if [ "$kind" != static ]; then
    foreign=$(nm -D --defined-only "$folder/libwengert.so.0" | awk '$2 ~ /[A-TV-Z]/ && $3 !~ /^(wg_|_init$|_fini$)/ { print $3 }')
    [ -z "$foreign" ] || { echo "install.sh: exported without prefix: $foreign" >&2; exit 1; }
    internal=$(nm -D --defined-only "$folder/libwengert.so.0" | awk '$3 ~ /^wg__/ { print $3 }')
    [ -z "$internal" ] || { echo "install.sh: internal names exported: $internal" >&2; exit 1; }
fi

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
PKG_CONFIG_PATH=$(dirname "$pc")${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
sed -i "s|^prefix=|prefix=$work|" "$pc"
check() { # the program, what it is
    [ "$(${MESON_EXE_WRAPPER:-} "$1")" = "6 0.1.0" ] || { echo "install.sh: the consumer, $2, printed something else" >&2; exit 1; }
}
if [ "$kind" != static ]; then
    flags=$(pkg-config --cflags --libs wengert)
    # shellcheck disable=SC2046,SC2086 # words
    ${CC:-cc} "$work/consumer.c" -o "$work/consumer" $flags -Wl,-rpath,"$folder" ${WG_TEST_LINK_ARGS:-}
    check "$work/consumer" "by pkg-config"
fi

# Wholly static, if there is a static library of each dependency: Debian's SLEEF and libsndfile have none.
if [ "$kind" != shared ]; then
    flags=$(pkg-config --static --cflags --libs wengert)
    static=-static
    for library in sleef sndfile; do
        case $flags in *-l$library*) [ -f "$(${CC:-cc} -print-file-name=lib$library.a)" ] || static= ;; esac
    done
    # shellcheck disable=SC2046,SC2086 # words
    ${CC:-cc} "$work/consumer.c" -o "$work/consumer" ${static:-} $(echo "$flags" | sed "s|-lwengert|$folder/libwengert.a|")
    check "$work/consumer" "static"
fi

if cmake --version >/dev/null 2>&1; then
    targets=$(echo "$kind" | sed 's/both/shared static/')
    mv "$work" "$work-moved"
    work=$work-moved
    cat >"$work/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.10)
project(consumer C)
find_package(wengert 0.1 REQUIRED)
foreach(kind wengert $targets)
  add_executable(by-\${kind} consumer.c)
  target_link_libraries(by-\${kind} wengert::\${kind})
endforeach()
EOF
    if ! { cmake -S "$work" -B "$work/cmake" -Dwengert_DIR="$(dirname "$(find "$work" -name wengert-config.cmake)")" &&
        cmake --build "$work/cmake"; } >"$work/log" 2>&1; then
        cat "$work/log" >&2
        exit 1
    fi
    with=" by CMake, too"
    for target in wengert $targets; do check "$work/cmake/by-$target" "by CMake, $target"; done
fi
echo "installed, linked and run${static:+, statically}${with:-}"
