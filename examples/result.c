/* The result of a program: its last line, and the figures at the top of its report. */
#include "app.h"

#include <stdio.h>
#include <string.h>

static char results[2048]; /* "name number unit, name number unit" */

void app_result(const char *name, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    app_watch_result(name, text);
    const size_t n = strlen(results);
    const int added = snprintf(results + n, sizeof results - n, "%s%s %s", n ? ", " : "", name, text);
    if (added < 0 || (size_t)added >= sizeof results - n) app_fail("too many results for a line");
}

void app_result_of(const char *name, const char *of, const char *format, double number)
{
    char both[100], text[64];
    snprintf(both, sizeof both, "%s %s", name, of);
    snprintf(text, sizeof text, format, number);
    app_result(both, "%s", text);
}

void app_print_results(void)
{
    if (*results) printf("final: %s\n", results);
    *results = 0;
}

int app_end(void)
{
    app_print_results();
    app_check_output();
    app_watch_end();
    return wg_signal_noted(NULL) ? 128 + wg_signal_number() : 0;
}
