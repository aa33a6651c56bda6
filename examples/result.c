/* The result of a program: its last line, and the figures at the top of its report. */
#include "app.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static char results[2048]; /* "name number unit, name number unit" */

static void add(const char *name, const char *text)
{
    const size_t n = strlen(results);
    const int added = snprintf(results + n, sizeof results - n, "%s%s %s", n ? ", " : "", name, text);
    if (added < 0 || (size_t)added >= sizeof results - n) app_fail("too many results for a line");
    app_watch_result(name, text);
}

void app_result(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *figure = text, *next; figure; figure = next) {
        next = strstr(figure, ", ");
        if (next) *next = 0, next += 2;
        char *colon = strstr(figure, ": ");
        if (!colon) app_fail("a result without a name");
        *colon = 0;
        add(figure, colon + 2);
    }
}

static int columns(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                                                    : INT_MAX;
}

/* On a terminal, a line goes on below its first figure where it is too long. */
void app_print_results(void)
{
    enum { INDENT = 6 };
    const int room = columns() - 1;
    int used = INDENT;
    if (!*results) return;
    fputs("final:", stdout);
    for (const char *figure = results, *next; *figure; figure = next) {
        const char *comma = strstr(figure, ", ");
        next = comma ? comma + 2 : figure + strlen(figure);
        const int length = (int)((comma ? comma + 1 : next) - figure);
        if (used > INDENT && used + 1 + length > room) printf("\n%*s", used = INDENT, "");
        used += printf(" %.*s", length, figure);
    }
    putchar('\n');
    *results = 0;
}

int app_end(void)
{
    const int number = wg_signal_number();
    if (number && *results) app_note("stopped before the end: no result");
    if (!number) app_print_results();
    app_check_output();
    app_watch_end();
    return number ? 128 + number : 0;
}
