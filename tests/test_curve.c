/* The loss curve of the examples: any points end in a picture of bounded size. */
#include "../examples/app.h"
#include "check.h"

#include <unistd.h>

static char path[] = "/tmp/curve-XXXXXX";

typedef struct row {
    double x[3], y[3];
} row;

/* Steps near 2^53 and beyond, where doubles are more than a tick apart; losses that overflow, vanish, or are equal. */
static const row rows[] = {
    {{1, 2, 3}, {3, 2, 1}},
    {{99999999999999984, 1e17, 1e17 + 16}, {2, 2, 1}},
    {{1e17, 1e17, 1e17}, {1, 1, 1}},
    {{9e15, 9e15 + 1, 9e15 + 2}, {1e-300, 2e-300, 3e-300}},
    {{1, 1e18, 9e18}, {1e17, 1e17 + 16, 1e17 + 32}},
    {{0, 1, 2}, {1e308, -1e308, 1}},
    {{0, 1, 2}, {INFINITY, -INFINITY, NAN}},
    {{0, 1, 2}, {NAN, NAN, NAN}},
    {{0, 1, 2}, {5e-324, 0, -5e-324}},
    {{0, 1, 2}, {1e299, 1e299, 1e299}},
    {{1e-300, 2e-300, 3e-300}, {1, 2, 3}},
};

static char *draw(const row *r, int validations)
{
    app_points points[2] = {{0}};
    wg_text text;
    for (int i = 0; i < 3; i++) app_points_add(&points[i < validations], r->x[i], r->y[i]);
    CHECK(app_curve_write(path, "a <title>\x1b[2J", &points[0], &points[1], NULL) == WG_OK);
    for (int i = 0; i < 2; i++) app_points_fini(&points[i]);
    if (!CHECK(wg_text_read(path, &text, NULL) == WG_OK)) return calloc(1, 1);
    return text.bytes;
}

static void case_svg_curve_loops(void)
{
    alarm(60); /* ends the test if a loop does not */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int validations = 0; validations <= 3; validations++) {
            char *text = draw(&rows[i], validations);
            int labels = 0;
            for (const char *at = text; (at = strstr(at, "<text")); at++) labels++;
            CHECK(labels < 40 && strlen(text) < 20000);
            CHECK(strstr(text, "a &lt;title&gt;\\x1b[2J</text>") && strstr(text, "</svg>"));
            char *points = strstr(text, "<!--");
            if (CHECK(points)) *points = 0; /* the points themselves may be NaN */
            if (!CHECK(!strstr(text, "nan") && !strstr(text, "inf"))) FAIL("row %zu", i);
            free(text);
        }
    alarm(0);
}

/* A resumed run reads the points up to its step; text from a stranger ends where it is no point. */
static void reads_back(void)
{
    static const struct {
        const char *text;
        size_t training, validation;
    } files[] = {{"t 1 2\nt 2 1.5\nv 2 3\nt 11 1\n", 2, 1},
                 {"t 1 1e308\nt 2 nan\nt 3 inf\n", 3, 0},
                 {"t 3 1\nt 2 1\nt 3 1\nt 4 1\n", 2, 0},
                 {"t -1 1\nt nan 1\nt -inf 1\nt 1e300 1\n", 0, 0},
                 {"ttttt", 0, 0},
                 {"t x", 0, 0},
                 {"t 1", 0, 0},
                 {"", 0, 0},
                 {"v 1 2x", 0, 1}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char text[300];
        app_points training = {0}, validation = {0};
        snprintf(text, sizeof text, "<svg/>\n<!-- points: training or validation, step, loss\n%s-->\n",
                 files[i].text);
        CHECK(wg_file_write(path, text, strlen(text), NULL) == WG_OK);
        app_curve_read(path, 10, &training, &validation);
        if (!CHECK(training.n == files[i].training && validation.n == files[i].validation)) FAIL("file %zu", i);
        app_points_fini(&training);
        app_points_fini(&validation);
    }
}

/* Many points are read in time that grows with their number. */
static void reads_many(void)
{
    enum { N = 300000 };
    char *text = malloc(64 + 16 * N), *at = text;
    app_points training = {0}, validation = {0};
    at += sprintf(at, "\n<!-- points: training or validation, step, loss\n");
    for (int i = 0; i < N; i++) at += sprintf(at, "t %d 1\n", i);
    CHECK(wg_file_write(path, text, (size_t)(at - text), NULL) == WG_OK);
    alarm(60);
    app_curve_read(path, 1e9, &training, &validation);
    alarm(0);
    CHECK(training.n == N);
    app_points_fini(&training);
    free(text);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_svg_curve_loops), TEST_CASE(reads_back), TEST_CASE(reads_many)};
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    int failed = RUN_TESTS(tests);
    unlink(path);
    return failed;
}
