/* The last line of an example: one line, or on a terminal several that break between figures. */
#include "../examples/app.h"
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What app_print_results writes to this file descriptor, which `from` reads. */
static void printed_to(int to, int from, char *text, size_t size)
{
    const int stdout_was = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(to, STDOUT_FILENO);
    app_result("loss: %.2f nats, bits per character: %.3f", 1.5, 2.25);
    app_result("speed: %d characters/s", 12345);
    app_print_results();
    app_print_results(); /* only once */
    fflush(stdout);
    dup2(stdout_was, STDOUT_FILENO);
    close(stdout_was);
    close(to);
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(from, text + n, size - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(from);
}

static void one_line_into_a_pipe(void)
{
    int ends[2];
    char text[256];
    if (!CHECK(pipe(ends) == 0)) return;
    printed_to(ends[1], ends[0], text, sizeof text);
    CHECK(strcmp(text, "final: loss 1.50 nats, bits per character 2.250, speed 12345 characters/s\n") == 0);
}

static void breaks_between_figures(void)
{
    static const struct {
        unsigned short columns;
        const char *text;
    } rows[] = {
        {80, "final: loss 1.50 nats, bits per character 2.250, speed 12345 characters/s\n"},
        {50, "final: loss 1.50 nats, bits per character 2.250,\n       speed 12345 characters/s\n"},
        {48, "final: loss 1.50 nats,\n       bits per character 2.250,\n       speed 12345 characters/s\n"},
        {5, "final: loss 1.50 nats,\n       bits per character 2.250,\n       speed 12345 characters/s\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256], *to = text;
        const int master = posix_openpt(O_RDWR | O_NOCTTY);
        if (!CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0)) return;
        const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
        const struct winsize size = {.ws_row = 24, .ws_col = rows[i].columns};
        CHECK(slave >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0);
        printed_to(slave, master, text, sizeof text);
        for (const char *c = text; *c; c++)
            if (*c != '\r') *to++ = *c; /* a terminal's */
        *to = 0;
        if (!CHECK(strcmp(text, rows[i].text) == 0)) FAIL("%d columns: '%s'", rows[i].columns, text);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(one_line_into_a_pipe), TEST_CASE(breaks_between_figures)};
    return RUN_TESTS(tests);
}
