#!/bin/sh
# Prints the path of PROGRAM; in a cross build, of a script in FOLDER that runs it by meson's exe_wrapper. Usage:
# wrapped.sh PROGRAM FOLDER
set -eu
program=$(realpath "$1")
if [ "${MESON_EXE_WRAPPER:-}" ]; then
    mkdir -p "$2/wrapped"
    script=$2/wrapped/$(basename "$program")
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$MESON_EXE_WRAPPER" "$program" >"$script"
    chmod +x "$script"
    program=$script
fi
echo "$program"
