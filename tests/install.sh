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
both) files="libwengert.so.0 libwengert.a libwengert-dist.so.0" ;;
shared) files="libwengert.so.0 libwengert-dist.so.0" ;;
static) files=libwengert.a ;;
esac
for file in $files wengert.pc wengert-dist.pc wengert-config.cmake LICENSE; do
    [ -n "$(find "$work" -name "$file")" ] || { echo "install.sh: no $file" >&2; exit 1; }
done
pc=$(find "$work" -name wengert.pc)
folder=$(dirname "$(dirname "$pc")")

if [ "$kind" != static ]; then
    foreign=$(nm -D --defined-only "$folder/libwengert.so.0" "$folder/libwengert-dist.so.0" | awk '$2 ~ /[A-TV-Z]/ && $3 !~ /^(wg_|_init$|_fini$)/ { print $3 }')
    [ -z "$foreign" ] || { echo "install.sh: exported without prefix: $foreign" >&2; exit 1; }
    internal=$(nm -D --defined-only "$folder/libwengert.so.0" "$folder/libwengert-dist.so.0" | awk '$3 ~ /^wg__/ { print $3 }')
    [ -z "$internal" ] || { echo "install.sh: internal names exported: $internal" >&2; exit 1; }
fi

include=$(dirname "$(find "$work" -name wengert.h)")
for header in $(cd "$include" && find . -name '*.h*'); do
    echo "#include \"$header\"" >"$work/one.c"
    case $header in
    *.h) ${CC:-cc} -std=c11 -Wall -Wextra -pedantic -Werror -I"$include" -fsyntax-only "$work/one.c" ;;
    esac
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

    cat >"$work/ranks.c" <<'EOF'
#include <stdio.h>
#include <wengert-dist.h>
int main(int argc, char **argv)
{
    wg_world *world = wg_world_open(&argc, &argv, wg_world_defaults(), NULL);
    printf("%d 0.1.0\n", 5 + wg_world_size(world));
    wg_world_close(world);
    return 0;
}
EOF
    sed -i "s|^prefix=|prefix=$work|" "$(dirname "$pc")/wengert-dist.pc"
    flags=$(pkg-config --cflags --libs wengert-dist)
    # shellcheck disable=SC2046,SC2086 # words
    ${CC:-cc} "$work/ranks.c" -o "$work/ranks" $flags -Wl,-rpath,"$folder" ${WG_TEST_LINK_ARGS:-}
    check "$work/ranks" "of ranks"
fi

# Wholly static, if there is a static library of each dependency: Debian's SLEEF and libsndfile have none.
if [ "$kind" != shared ]; then
    flags=$(pkg-config --static --cflags --libs wengert)
    static=-static
    for library in sleef sndfile; do
        case $flags in
        *-l$library*)
            [ -f "$(${CC:-cc} -print-file-name=lib$library.a)" ] && continue
            echo "install.sh: not linked wholly statically: there is no lib$library.a (Debian has none; -D$library=disabled)"
            static=
            ;;
        esac
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
set(folder \${Wengert_DIR})
foreach(wrong 0.2 0.0.9 1 "0.1;COMPONENTS;gpu")
  find_package(Wengert \${wrong} QUIET)
  if(Wengert_FOUND)
    message(FATAL_ERROR "found: \${wrong}")
  endif()
  set(Wengert_DIR \${folder} CACHE PATH "" FORCE)
endforeach()
foreach(version 0 0.1 0.1.0)
  find_package(Wengert \${version} REQUIRED)
endforeach()
foreach(kind wengert $targets)
  add_executable(by-\${kind} consumer.c)
  target_link_libraries(by-\${kind} Wengert::\${kind})
endforeach()
if(TARGET Wengert::dist)
  add_executable(by-dist ranks.c)
  target_link_libraries(by-dist Wengert::dist)
endif()
EOF
    if ! { cmake -S "$work" -B "$work/cmake" -DWengert_DIR="$(dirname "$(find "$work" -name wengert-config.cmake)")" &&
        cmake --build "$work/cmake"; } >"$work/log" 2>&1; then
        cat "$work/log" >&2
        exit 1
    fi
    with=" by CMake, too"
    if [ "$kind" != static ]; then targets="$targets dist"; fi
    for target in wengert $targets; do check "$work/cmake/by-$target" "by CMake, $target"; done
fi
echo "installed, linked and run${static:+, statically}${with:-}"
