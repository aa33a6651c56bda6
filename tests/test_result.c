/* The last line of an example: one line, or on a terminal several that break between figures. */
#include "../examples/app.h"
#include "terminal.h"

#include <string.h>

/* What app_print_results writes to a terminal with so many columns; 0: to a pipe. */
static void printed(int columns, char *text, size_t size)
{
    terminal t;
    *text = 0;
    if (!terminal_begin(&t, STDOUT_FILENO, columns)) return;
    app_result("loss: %.2f nats, bits per character: %.3f", 1.5, 2.25);
    app_result("speed: %d characters/s", 12345);
    app_print_results();
    app_print_results(); /* only once */
    terminal_end(&t, text, size);
}

static void one_line_into_a_pipe(void)
{
    char text[256];
    printed(0, text, sizeof text);
    CHECK(strcmp(text, "final: loss 1.50 nats, bits per character 2.250, speed 12345 characters/s\n") == 0);
}

static void breaks_between_figures(void)
{
    static const struct {
        int columns;
        const char *text;
    } rows[] = {
        {80, "final: loss 1.50 nats, bits per character 2.250, speed 12345 characters/s\n"},
        {50, "final: loss 1.50 nats, bits per character 2.250,\n       speed 12345 characters/s\n"},
        {48, "final: loss 1.50 nats,\n       bits per character 2.250,\n       speed 12345 characters/s\n"},
        {5, "final: loss 1.50 nats,\n       bits per character 2.250,\n       speed 12345 characters/s\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        printed(rows[i].columns, text, sizeof text);
        if (!CHECK(strcmp(text, rows[i].text) == 0)) FAIL("%d columns: '%s'", rows[i].columns, text);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(one_line_into_a_pipe), TEST_CASE(breaks_between_figures)};
    return RUN_TESTS(tests);
}
