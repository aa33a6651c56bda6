/* The progress bar, on terminals and elsewhere; the signal that lets a loop end well. */
#include "terminal.h"
#include "train/progress.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { STEPS = 1000, ROOM = 1 << 16 };

static char text[ROOM];

/* Columns that are used by what comes after the last return of the carriage; escape sequences use none. */
static int columns_used(const char *line)
{
    const char *last = strrchr(line, '\r');
    int n = 0;
    for (const char *c = last ? last + 1 : line; *c; c++)
        if (*c == '\033')
            c += strcspn(c, "mK");
        else
            n++;
    return n;
}

static int count(const char *needle)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, needle)); at++) n++;
    return n;
}

static void plain_lines_elsewhere(void)
{
    terminal t;
    wg_progress p = {.unit = "words", .units = 10, .label = "gru", .place = " on 2 ranks"};
    if (!terminal_begin(&t, STDERR_FILENO, 0)) return;
    wg_progress_begin(&p, 0, STEPS);
    for (int64_t step = 1; step <= STEPS; step++) wg_progress_show(&p, step, 1.0 / (double)step);
    wg_progress_clear();
    terminal_end(&t, text, sizeof text);
    CHECK(count("\n") >= 19 && count("\n") <= 21 && count("\n") == count(" words/s on 2 ranks  "));
    CHECK(!strpbrk(text, "\r\033[]"));
    CHECK(strncmp(text, "gru: step ", 10) == 0 && count("gru: step 1000  loss 0.0010  ") == 1);
    CHECK(count("  0s left\n") >= 1);
}

/* The bar, its text and the two columns of a "^C" fit into a line, also if it is narrow; the bar is as long as the part
 * that is done. */
static void fits_into_a_line(void)
{
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    for (int columns = 4; columns <= 130; columns++) {
        terminal t;
        wg_progress p = {.unit = "sentences", .units = 64};
        if (!terminal_begin(&t, STDERR_FILENO, columns)) return;
        wg_progress_begin(&p, 0, STEPS);
        wg_progress_show(&p, STEPS / 2, 1.5);
        terminal_end(&t, text, sizeof text);
        const int used = columns_used(text);
        if (!CHECK(used >= 1 && used + 3 <= columns)) FAIL("%d of %d columns: '%s'", used, columns, text);
        if (columns < 120) continue; /* the rate has more digits here than elsewhere */
        CHECK(count("[\033[32m") == 1 && count("====================>                   \033[0m] step 500") == 1);
    }
    wg_progress_clear();
}

static void removes_the_bar(void)
{
    terminal t;
    wg_progress p = {0}, quiet = {.quiet = true};
    setenv("NO_COLOR", "1", 1);
    if (!terminal_begin(&t, STDERR_FILENO, 80)) return;
    wg_progress_begin(&p, 0, STEPS);
    wg_progress_begin(&quiet, 0, STEPS);
    wg_progress_show(&p, 10, 2);
    wg_progress_show(&quiet, 20, 2);
    wg_progress_show(&p, 11, 2); /* within a tenth of a second: not drawn */
    wg_progress_clear();
    wg_progress_clear(); /* there is none */
    fputs("a line\n", stderr);
    terminal_end(&t, text, sizeof text);
    CHECK(text[0] == '[' && count("step 10  loss 2.0000") == 1 && count("step 11") == 0 && count("step 20") == 0);
    CHECK(count("\033") == 1 && strstr(text, " left\r\033[Ka line\n"));
    unsetenv("NO_COLOR");
}

/* The watcher of wg_fit: validation is a line of its own, and its seconds do not count. */
static void watches_a_run(void)
{
    terminal t;
    wg_progress p = {.label = "net"};
    wg_fit_result now = {.steps = 4, .validation = 0.5, .best_step = 2};
    if (!terminal_begin(&t, STDERR_FILENO, 0)) return;
    wg_fit_progress(&p, WG_FIT_BEGIN, &now);
    for (now.step = 1; now.step <= 4; now.step++) {
        now.mean_loss = 1.0 / (double)now.step;
        wg_fit_progress(&p, WG_FIT_STEP, &now);
        if (now.step % 2 != 0) continue;
        wg_fit_progress(&p, WG_FIT_VALIDATE, &now);
        wg_fit_progress(&p, WG_FIT_VALIDATED, &now);
    }
    wg_fit_progress(&p, WG_FIT_EPOCH, &now);
    wg_fit_progress(&p, WG_FIT_ENDED, &now);
    wg_fit_progress(NULL, WG_FIT_STEP, &now);
    wg_fit_progress(&p, WG_FIT_STEP, NULL);
    terminal_end(&t, text, sizeof text);
    CHECK(count("net: step ") == 4 && count("\n") == 6);
    CHECK(count("step 2: loss 0.5000, validation 0.5000, the best\n") == 1);
    CHECK(count("step 4: loss 0.2500, validation 0.5000\n") == 1);
    CHECK(p.paused >= 0 && p.paused < 60);
}

/* What is left is in hours and minutes, in minutes and seconds, or in seconds; a loss that is large has an exponent. */
static void tells_what_is_left(void)
{
    terminal t;
    if (!terminal_begin(&t, STDERR_FILENO, 0)) return;
    static const double elapsed[] = {7200, 130, 20};
    for (size_t i = 0; i < sizeof elapsed / sizeof *elapsed; i++) {
        wg_progress p = {0};
        wg_progress_begin(&p, 0, 2);
        p.started -= elapsed[i];
        wg_progress_show(&p, 1, 2.5e7);
    }
    terminal_end(&t, text, sizeof text);
    CHECK(count("  2h00m left\n") == 1 && count("  2m10s left\n") == 1 && count("  20s left\n") == 1);
    CHECK(count("loss 2.500e+07  ") == 3);
}

/* COLUMNS goes before what the terminal says. */
static void columns_as_stated(void)
{
    terminal t;
    setenv("COLUMNS", "30", 1);
    wg_progress p = {0};
    if (!terminal_begin(&t, STDERR_FILENO, 100)) return;
    wg_progress_begin(&p, 0, STEPS);
    wg_progress_show(&p, STEPS, 1);
    terminal_end(&t, text, sizeof text);
    unsetenv("COLUMNS");
    CHECK(columns_used(text) == 27);
    wg_progress_clear();
}

/* The first one is noted; the second one ends the program. */
static void notes_a_signal(void)
{
    const pid_t child = fork();
    if (child == 0) {
        wg_signal_catch();
        if (wg_signal_number() != 0 || wg_signal_noted(NULL)) _exit(1);
        raise(SIGINT);
        if (wg_signal_number() != SIGINT || !wg_signal_noted(NULL)) _exit(2);
        raise(SIGINT);
        _exit(3);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (!CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)) FAIL("status %d", status);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(plain_lines_elsewhere), TEST_CASE(fits_into_a_line),
                                 TEST_CASE(removes_the_bar),       TEST_CASE(watches_a_run),
                                 TEST_CASE(tells_what_is_left),    TEST_CASE(columns_as_stated),
                                 TEST_CASE(notes_a_signal)};
    return RUN_TESTS(tests);
}
