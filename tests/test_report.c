/* Reports: one page that is well formed and needs nothing else; text from strangers is escaped; errors are sticky;
 * faults of memory and disk leave the old page; curves in bounded memory; what a traced run shows. Charts. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test_io.h"

/* ---- reading a page ---- */

static char *page_of(const wg_report *report)
{
    wg_error error = {0};
    size_t size;
    if (wg_report_write(report, in_folder("page"), &error) != WG_OK) fail_msg("%s", error.text);
    return get_file(in_folder("page"), &size);
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) n++;
    return n;
}

/* Whether the tag at `at`, "<name ...>", has no end tag. */
static bool is_void(const char *at)
{
    const char *end = strchr(at, '>');
    return end[-1] == '/' || !strncmp(at, "<meta ", 6) || !strncmp(at, "<img ", 5) || !strncmp(at, "<!DOCTYPE", 9);
}

/* Every tag is closed, in the order in which they were opened. */
static void check_tags(const char *page)
{
    enum { DEPTH = 32 };
    const char *open[DEPTH];
    int depth = 0;
    for (const char *at = page; (at = strchr(at, '<')); at++) {
        const size_t length = strcspn(at + 1, " />");
        if (!CHECK(strchr(at, '>'))) return;
        if (at[1] == '/') {
            const size_t name = strcspn(at + 2, ">");
            if (!CHECK(depth > 0 && !strncmp(open[depth - 1], at + 2, name))) return;
            CHECK(strchr(" >", open[--depth][name]));
        } else if (!is_void(at)) {
            CHECK(length > 0);
            if (!CHECK(depth < DEPTH)) return;
            open[depth++] = at + 1;
        }
    }
    CHECK(depth == 0);
}

/* Nothing that a browser would load, and no character that ends a line of a terminal. */
static void check_page(const char *page)
{
    static const char *const loads[] = {"http",    "url(",    "@import", "<link",
                                        "<script", "<iframe", "srcset",  "file:"};
    CHECK(!strncmp(page, "<!DOCTYPE html>\n<html lang=\"en\">", 31));
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) CHECK(!strstr(page, loads[i]));
    CHECK(count(page, "src=") == count(page, "src=\"data:image/png;base64,"));
    CHECK(count(page, "<img ") == count(page, "alt=\""));
    for (const char *c = page; *c; c++) CHECK((unsigned char)*c >= 32 || *c == '\n' || *c == '\t');
    CHECK(strstr(page, "prefers-color-scheme:dark") && strstr(page, "name=\"viewport\""));
    check_tags(page);
}

/* ---- a full report ---- */

static const char hostile[] = "<b>&\"'\x1b[2J\xff";
#define ESCAPED "&lt;b&gt;&amp;&quot;'\\x1b[2J\\xff"
static const char named[] = "<b>&\"'\x1b[2J";

static wg_status fill_report(wg_report *r)
{
    static const char *const words[] = {"eins", hostile, "drei"}, *const numbers[] = {"1", "2"};
    const float cells[] = {0.25f, 0.5f, 0, NAN, -1, 1};
    const uint8_t pixels[12] = {1, 2, 3};
    wg_report_setting(r, named, hostile);
    wg_report_setting(r, "seed", "7");
    wg_report_result(r, "accuracy", "98 %");
    for (int i = 0; i < 10; i++) wg_report_line(r, named, "training", i, 1.0 / (1 + i));
    wg_report_dot(r, named, "validation", 9, 0.25);
    wg_report_dot(r, "accuracy", named, 9, INFINITY);
    wg_report_text(r, "Samples", "step 1", "one\n\ttwo \x1b");
    wg_report_text(r, "Samples", "", hostile);
    wg_report_picture(r, "Samples", "p", pixels, 2, 2, 3);
    wg_report_picture(r, "Pictures", hostile, pixels, 3, 4, 1);
    return wg_report_matrix(r, named, hostile, 3, 2, words, numbers, cells);
}

static void whole(void)
{
    wg_report *r = wg_report_new(named);
    char *empty = page_of(r);
    check_page(empty);
    CHECK(!strstr(empty, "<section>") && !strstr(empty, "<svg") && !strstr(empty, "<dl"));
    CHECK(fill_report(r) == WG_OK && wg_report_status(r) == WG_OK && !*wg_report_message(r));
    char *page = page_of(r), *again = page_of(r);
    check_page(page);
    CHECK(!strcmp(page, again));
    CHECK(strstr(page, "<h1>&lt;b&gt;&amp;&quot;'\\x1b[2J</h1>"));
    CHECK(strstr(page, "<div><dt>&lt;b&gt;&amp;&quot;'\\x1b[2J</dt><dd>" ESCAPED "</dd></div>"));
    CHECK(strstr(page, "<dt>accuracy</dt><dd>98 %</dd>") && strstr(page, "<pre>one\n\ttwo \\x1b</pre>"));
    CHECK(strstr(page, "<pre>" ESCAPED "</pre>\n</figure>") && strstr(page, "<figcaption>step 1</figcaption>"));
    CHECK(strstr(page, "<figcaption>1 number is not finite.</figcaption>"));
    CHECK(count(page, "<h2>Samples</h2>") == 2 && count(page, "<div class=\"texts\">") == 1); /* text, picture */
    CHECK(count(page, "<svg") == 2 && count(page, "<polyline") == 1 && count(page, "<circle") == 1);
    CHECK(strstr(page, "training 0.1</text>") && strstr(page, "validation 0.25</text>"));   /* last numbers */
    CHECK(strstr(page, "<th scope=\"row\">" ESCAPED "</th><td style=\"--p:0.000\"></td>")); /* 0, NaN */
    CHECK(strstr(page, "--p:0.250\">0.25</td><td style=\"--p:0.500\">0.50</td>"));
    CHECK(strstr(page, "<td style=\"--p:0.000\"></td><td class=\"dark\" style=\"--p:1.000\">1.00</td>"));
    CHECK(strstr(page, "<h2>Settings</h2>") > strstr(page, "class=\"matrix\""));
    free(empty);
    free(page);
    free(again);
    wg_report_free(r);
}

/* Base64 of 1, 2 and 3 bytes after a PNG's: decoded by a loop over the digits, the file begins and ends as it must. */
static void pictures(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static uint8_t pixels[3 * 40];
    static unsigned char png[4000];
    for (int width = 1; width <= 40; width++) {
        wg_report *r = wg_report_new("r");
        for (int i = 0; i < 3 * width; i++) pixels[i] = (uint8_t)(i * i * 37);
        CHECK(wg_report_picture(r, "p", "", pixels, 3, width, 1) == WG_OK);
        char *page = page_of(r), *at = strstr(page, "base64,") + 7;
        uint32_t bits = 0;
        size_t n = 0, length = strcspn(at, "\"");
        CHECK(length % 4 == 0);
        for (size_t i = 0; i < length && at[i] != '='; i++) {
            const char *digit = strchr(digits, at[i]);
            if (!CHECK(digit)) break;
            bits = bits << 6 | (uint32_t)(digit - digits);
            if (i % 4 > 0) png[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)) % 8);
        }
        CHECK(n == length / 4 * 3 - (at[length - 1] == '=') - (at[length - 2] == '='));
        CHECK(n > 57 && !memcmp(png, "\x89PNG\r\n\x1a\n", 8) && !memcmp(png + n - 8, "IEND\xae\x42\x60\x82", 8));
        CHECK(strstr(page, width < 96 ? "<img width=\"" : "") != NULL);
        free(page);
        wg_report_free(r);
    }
}

/* ---- errors ---- */

static void refused(void)
{
    static const char *const word[] = {"w", NULL};
    const float one[] = {1, 1};
    const uint8_t pixel[4] = {0};
    char name[202];
    memset(name, 'n', sizeof name);
    name[201] = 0;
    CHECK(!wg_report_new(NULL) && !wg_report_new("") && !wg_report_new(name) && !wg_report_new("\xff"));
    CHECK(wg_report_status(NULL) == WG_ERR_ARGUMENT && !*wg_report_message(NULL));
    CHECK(wg_report_line(NULL, "a", "b", 0, 0) == WG_ERR_ARGUMENT);
    CHECK(wg_report_write(NULL, in_folder("page"), NULL) == WG_ERR_ARGUMENT);
    wg_report_free(NULL);
    for (int i = 0; i < 16; i++) {
        wg_report *r = wg_report_new("r");
        wg_error error = {0};
        const wg_status status = i == 0    ? wg_report_line(r, "", "b", 0, 0)
                                 : i == 1  ? wg_report_line(r, "a", name, 0, 0)
                                 : i == 2  ? wg_report_line(r, "a", "b", NAN, 0)
                                 : i == 3  ? wg_report_dot(r, "a", "\xff", 0, 0)
                                 : i == 4  ? wg_report_setting(r, NULL, "t")
                                 : i == 5  ? wg_report_setting(r, "a", NULL)
                                 : i == 6  ? wg_report_result(r, "", "t")
                                 : i == 7  ? wg_report_text(r, "h", "c", NULL)
                                 : i == 8  ? wg_report_text(r, "h", NULL, "t")
                                 : i == 9  ? wg_report_picture(r, "h", "c", pixel, 1, 1, 2)
                                 : i == 10 ? wg_report_picture(r, NULL, "c", pixel, 1, 1, 1)
                                 : i == 11 ? wg_report_matrix(r, "h", "c", 1, 2, word, word, one)
                                 : i == 12 ? wg_report_matrix(r, "h", "c", 0, 1, word, word, one)
                                 : i == 13 ? wg_report_matrix(r, "h", "c", 1 << 20, 1 << 20, word, word, one)
                                 : i == 14 ? wg_report_matrix(r, "h", "c", 1, 1, word, NULL, one)
                                           : wg_report_run(r, NULL, NULL);
        if (!CHECK(status == WG_ERR_ARGUMENT)) FAIL("call %d", i);
        CHECK(wg_report_status(r) == WG_ERR_ARGUMENT && !strncmp(wg_report_message(r), "report: ", 8));
        CHECK(wg_report_result(r, "a", "b") == WG_OK); /* later calls work; the first error stays */
        CHECK(wg_report_write(r, in_folder("none"), &error) == WG_ERR_ARGUMENT);
        CHECK(!strcmp(error.text, wg_report_message(r)) && access(in_folder("none"), F_OK) != 0);
        wg_report_free(r);
    }
    wg_report *r = wg_report_new("r");
    for (int i = 0; i < 65; i++) {
        snprintf(name, sizeof name, "%d", i);
        CHECK(wg_report_line(r, "a", name, 0, 0) == (i < 64 ? WG_OK : WG_ERR_ARGUMENT));
    }
    wg_report_free(r);
}

static void files(void)
{
    static const char *const bad[] = {"/proc/nothing/page", "/dev/full", "/tmp", "", NULL};
    wg_report *r = wg_report_new("r");
    CHECK(fill_report(r) == WG_OK);
    for (int i = 0; i < 5; i++) {
        wg_error error = {0};
        CHECK(wg_report_write(r, bad[i], &error) == (i < 3 ? WG_ERR_IO : WG_ERR_ARGUMENT) && *error.text);
    }
    /* a full disk: the old page stays */
    char *page = page_of(r);
    struct rlimit before, small;
    size_t size;
    wg_report_result(r, "more", "1");
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(wg_report_write(r, in_folder("page"), NULL) == WG_ERR_IO);
    setrlimit(RLIMIT_FSIZE, &before);
    char *there = get_file(in_folder("page"), &size);
    CHECK(!strcmp(page, there) && count_files() == 1);
    free(page);
    free(there);
    wg_report_free(r);
}

/* Each allocation fails in turn: an error of the report, or of the writing; then nothing is written. */
static void out_of_memory(void)
{
    int failed = 0;
    for (long k = 1;; k++) {
        empty_folder();
        fault_begin(0, k, false);
        wg_report *r = wg_report_new("r");
        const wg_status filled = r ? fill_report(r) : WG_ERR_MEMORY, sticky = wg_report_status(r),
                        status = wg_report_write(r, in_folder("page"), NULL);
        const bool fired = fault.allocations >= k;
        fault_end();
        CHECK(!r || sticky == WG_OK || sticky == WG_ERR_MEMORY);
        CHECK(filled == WG_OK || !r || sticky == WG_ERR_MEMORY);
        CHECK(status == WG_OK || !r || status == WG_ERR_MEMORY);
        CHECK((status == WG_OK) == !fired && (status == WG_OK) == (count_files() == 1));
        failed += status != WG_OK;
        wg_report_free(r);
        if (!fired) break;
    }
    CHECK(failed > 20);
}

/* ---- curves and charts ---- */

/* A line of many points is drawn by at most 512 that lie on it; the first and the last are near the ends. */
static void long_curves(void)
{
    enum { N = 100000 };
    wg_report *r = wg_report_new("r");
    for (int i = 1; i <= N; i++) CHECK(wg_report_line(r, "a", "b", i, 3.0 * i) == WG_OK);
    char *page = page_of(r), *at = strstr(page, "points=\"") + 8;
    double x = 0, y = 0, last_x = -1, first_x = -1, slope = 0;
    int n = 0;
    for (char *end; *at != '"'; at = end + (*end == ' '), n++) {
        x = strtod(at, &end), y = strtod(end + 1, &end);
        if (n == 0) first_x = x, slope = y;
        CHECK(x >= last_x && (n == 0 || x - last_x < 5)); /* 628 wide, by 256 points or more */
        last_x = x;
    }
    CHECK(n > 200 && n <= 512 && last_x - first_x > 620 && slope - y > 240);
    CHECK(strstr(page, "<text class=\"wg-d0\" x=\"64\" y=\"44\">━ b 2.99") || strstr(page, "b 3e+05"));
    free(page);
    wg_report_free(r);
}

static void charts(void)
{
    const double x[] = {0, 1, 2}, y[] = {0, 50, 100}, bad[] = {0, NAN, 2};
    const wg_series good[] = {{.name = "line", .x = x, .y = y, .n = 3},
                              {.name = "dots", .x = x, .y = bad, .n = 3, .dots = true},
                              {.name = "unseen"}};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CHECK(wg_chart_svg("t", good, 3, out) == WG_OK);
    fclose(out);
    check_tags(text);
    CHECK(strstr(text, "points=\"64.0,316.0 378.0,188.0 692.0,60.0 \"")); /* the corners and the middle */
    CHECK(count(text, "<circle") == 2 && strstr(text, "line 100</text>") && strstr(text, "dots 2</text>"));
    CHECK(!strstr(text, "unseen") && strstr(text, "xmlns="));
    free(text);
    out = fopen("/dev/full", "w");
    setvbuf(out, NULL, _IONBF, 0);
    CHECK(wg_chart_svg("t", good, 3, out) == WG_ERR_IO);
    CHECK(wg_chart_svg(NULL, good, 1, out) == WG_ERR_ARGUMENT &&
          wg_chart_svg("t", NULL, 1, out) == WG_ERR_ARGUMENT);
    CHECK(wg_chart_svg("t", good, 1, NULL) == WG_ERR_ARGUMENT &&
          wg_chart_svg("t", good, 65, out) == WG_ERR_ARGUMENT);
    const wg_series wrong[] = {
        {.name = "a", .x = bad, .y = y, .n = 3}, {.name = "a", .x = x, .n = 3}, {.x = x, .y = y}};
    for (int i = 0; i < 3; i++) CHECK(wg_chart_svg("t", &wrong[i], 1, out) == WG_ERR_ARGUMENT);
    fclose(out);
}

/* ---- a traced run ---- */

static void run(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(64, 64), wg_init_glorot());
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_report *r = wg_report_new("r");
    CHECK(wg_report_run(r, tape, NULL) == WG_OK); /* nothing was traced */
    char *page = page_of(r);
    CHECK(!strstr(page, "<table") && !strstr(page, "Traced") && strstr(page, "tape, at most"));
    free(page);
    CHECK(wg_trace_runs(tape, 1000) == WG_OK);
    wg_scope_begin(tape, "en<coder");
    wg_tensor y = wg_matmul(wg_ones(tape, WG_F32, WG_DIMS(32, 64)), wg_use(tape, w));
    y = wg_softmax(y, -1);
    wg_scope_end(tape);
    CHECK(wg_backward(wg_mean_all(wg_square(y))) == WG_OK);
    CHECK(wg_report_run(r, tape, set) == WG_OK && wg_report_run(r, tape, set) == WG_OK); /* replaces */
    page = page_of(r);
    check_page(page);
    CHECK(count(page, "Traced: 1 run on 1 thread.") == 1 && count(page, "<caption>") == 3);
    CHECK(strstr(page, "<th scope=\"row\">matmul</th>") && strstr(page, "<th scope=\"row\">en&lt;coder</th>"));
    CHECK(strstr(page, "<small>backward</small>") && strstr(page, "<dt>trainable numbers</dt><dd>4096</dd>"));
    free(page);
    wg_report_free(r);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(whole),         TEST_CASE(pictures),    TEST_CASE(refused), TEST_CASE(files),
        TEST_CASE(out_of_memory), TEST_CASE(long_curves), TEST_CASE(charts),  TEST_CASE(run)};
    make_folder();
    const int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
