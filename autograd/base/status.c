/* Status names and the one-line error. */
#include "../status.h"

#include <stdio.h>

const char *wg_status_name(wg_status status)
{
    static const char *const names[] = {"ok",     "argument", "shape",     "dtype",   "stale", "gradient",
                                        "memory", "index",    "nonfinite", "changed", "io",    "format"};
    size_t i = (size_t)status;
    return i < sizeof names / sizeof *names ? names[i] : "unknown";
}

wg_status wg_error_setv(wg_error *error, wg_status status, const char *format, va_list arguments)
{
    if (!error || error->status != WG_OK) return status;
    if (!format) format = "";
    error->status = status;
    char text[2 * sizeof error->text];
    vsnprintf(text, sizeof text, format, arguments);
    wg_printable(text, error->text, sizeof error->text);
    return status;
}

wg_status wg_error_set(wg_error *error, wg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    wg_error_setv(error, status, format, arguments);
    va_end(arguments);
    return status;
}

const char *wg_version(void) { return "0.1.0"; }
