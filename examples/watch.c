/* What a run leaves: a page with its report; with --logdir in that folder, next to event files and a trace. */
#include "app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The trace is of a few steps, once the plans are made and the caches warm. */
enum { TRACE_AFTER = 3, TRACE_STEPS = 5, TRACE_EVENTS = 1 << 14 };

static struct watch {
    const char *folder; /* of --logdir, or NULL */
    char page[4096];    /* the file of the report */
    wg_log_file *log;   /* NULL without a folder */
    wg_report *report;  /* NULL: nobody watches */
    int64_t steps;      /* since the program began */
    FILE *sample;       /* a text that is being written, ... */
    char *text;         /* ... and its bytes */
    size_t size;
} watch;

static void place(const char *folder, const char *name, char path[4096])
{
    if (snprintf(path, 4096, "%s/%s", folder, name) >= 4096) app_fail("--logdir: the name is too long");
}

static void check_log(wg_status status)
{
    wg_error error = {0};
    if (status == WG_OK) return;
    wg_log_file *log = watch.log;
    watch.log = NULL;
    if (wg_log_close(log, &error) != WG_OK) app_fail("%s", error.text);
}

static void check_report(wg_status status)
{
    if (status != WG_OK) app_fail("%s", wg_report_message(watch.report));
}

static bool write_report(void)
{
    wg_error error = {0};
    if (wg_report_write(watch.report, watch.page, &error) == WG_OK) return true;
    app_note("%s", error.text);
    return false;
}

/* At the end of the program, also if it failed or was stopped. A run that makes no step does not
 * replace the page of an earlier one. */
static void finish(void)
{
    wg_error error = {0};
    bool ok = (watch.steps == 0 && !watch.folder) || write_report();
    if (watch.log && wg_log_close(watch.log, &error) != WG_OK) {
        app_note("%s", error.text);
        ok = false;
    }
    wg_report_free(watch.report);
    if (ok) return;
    fflush(stdout);
    _exit(1);
}

/* As people write it: app_option_text has all digits. NULL: nothing was set. */
static const char *setting_text(const app_option *o, char text[64])
{
    switch (o->type) {
    case APP_FLAG: return *(bool *)o->value ? "yes" : NULL;
    case APP_REAL: snprintf(text, 64, "%g", *(double *)o->value); return text;
    default: return o->type == APP_LIST ? NULL : app_option_text(o, text);
    }
}

static void add_settings(const app_option *options)
{
    char room[64];
    for (const app_option *o = options; o->type != APP_END; o++) {
        const char *text = setting_text(o, room);
        if (text) check_report(wg_report_setting(watch.report, o->name, text));
    }
}

static void open_folder(const char *folder)
{
    wg_error error = {0};
    watch.folder = folder;
    watch.log = wg_log_open(folder, &error);
    if (!watch.log) app_fail("--logdir: %s", error.text);
    place(folder, "report.html", watch.page);
}

/* Whether there is to be a page without a folder. One that nobody has asked for may be left out. */
static bool open_page(const char *page, const app_option *options)
{
    if (!page || !*page) return false;
    while (options->type != APP_END && strcmp(options->name, "report") != 0) options++;
    if (!options->given && access(".", W_OK) != 0) return false;
    app_check_place(page);
    if (snprintf(watch.page, sizeof watch.page, "%s", page) >= (int)sizeof watch.page)
        app_fail("--report: the name is too long");
    return true;
}

void app_watch_begin(const char *folder, const char *page, const app_option *options)
{
    char started[64];
    const time_t now = time(NULL);
    if (app_is_quiet() || (!folder && !open_page(page, options))) return;
    if (folder) open_folder(folder);
    watch.report = wg_report_new(app_program());
    if (!watch.report) app_fail("out of memory");
    strftime(started, sizeof started, "%Y-%m-%d %H:%M", localtime(&now));
    check_report(wg_report_setting(watch.report, "started", started));
    add_settings(options);
    atexit(finish);
}

void app_watch_resume(int64_t last, const app_points *training, const app_points *validation)
{
    if (!watch.report) return;
    if (watch.log) check_log(wg_log_resume(watch.log, last + 1));
    for (size_t i = 0; i < training->n; i++)
        check_report(wg_report_line(watch.report, "loss", "training", training->x[i], training->y[i]));
    for (size_t i = 0; i < validation->n; i++)
        check_report(wg_report_dot(watch.report, "loss", "validation", validation->x[i], validation->y[i]));
}

static void log_number(const char *chart, const char *series, int64_t step, double number)
{
    char tag[200];
    snprintf(tag, sizeof tag, "%.90s/%.90s", chart, series);
    if (watch.log) check_log(wg_log_scalar(watch.log, tag, step, number));
}

static void write_trace(const wg_tape *tape)
{
    char path[4096];
    place(watch.folder, "trace.json", path);
    FILE *out = fopen(path, "w");
    if (!out || wg_dump_trace(tape, out) != WG_OK || fclose(out) != 0) app_fail("%s: %s", path, strerror(errno));
}

void app_watch_step(wg_tape *tape, const wg_params *params, int64_t step, double loss)
{
    if (!watch.report) return;
    log_number("loss", "training", step, loss);
    check_report(wg_report_line(watch.report, "loss", "training", (double)step, loss));
    if (++watch.steps == TRACE_AFTER && wg_trace_runs(tape, TRACE_EVENTS) != WG_OK) app_fail("out of memory");
    if (watch.steps != TRACE_AFTER + TRACE_STEPS) return;
    if (watch.folder) write_trace(tape);
    check_report(wg_report_run(watch.report, tape, params));
    wg_trace_runs(tape, 0);
}

void app_watch_test(const wg_params *params, const char *chart, const char *series, int64_t step, double number)
{
    if (!watch.report) return;
    log_number(chart, series, step, number);
    if (watch.log) check_log(wg_log_params(watch.log, step, params));
    check_report(wg_report_dot(watch.report, chart, series, (double)step, number));
    if (!write_report()) exit(1);
}

void app_watch_result(const char *name, const char *text)
{
    if (watch.report) check_report(wg_report_result(watch.report, name, text));
}

void app_watch_end(void)
{
    if (watch.report && !watch.folder && watch.steps > 0)
        app_note("%s shows the run: open it in a browser", watch.page);
}

/* ---- texts, matrices, pictures ---- */

/* As Markdown that keeps the lines as they are: four blanks before each. The bytes of a sample may be no UTF-8. The
 * caller frees it. */
static char *as_markdown(const char *text)
{
    char *shown = app_room(8 * (int64_t)strlen(text) + 8, 1), *to = shown;
    for (bool more = true; more;) {
        const size_t length = strcspn(text, "\n");
        char *line = strndup(text, length);
        if (!line) app_fail("out of memory");
        memcpy(to, "    ", 4);
        wg_printable(line, to + 4, 4 * length + 1);
        free(line);
        to += strlen(to);
        more = text[length] != 0;
        if (more) *to++ = '\n';
        text += length + more;
    }
    return shown;
}

void app_watch_text(const char *heading, int64_t step, const char *text)
{
    char caption[64];
    if (!watch.report) return;
    snprintf(caption, sizeof caption, "step %lld", (long long)step);
    check_report(wg_report_text(watch.report, heading, caption, text));
    char *shown = as_markdown(text);
    if (watch.log) check_log(wg_log_text(watch.log, heading, step, shown));
    free(shown);
}

void app_watch_sample_begin(void)
{
    if (!watch.report) return;
    watch.sample = open_memstream(&watch.text, &watch.size);
    if (!watch.sample) app_fail("out of memory");
    app_copy_bytes(watch.sample);
}

void app_watch_sample_end(int64_t step)
{
    if (!watch.report) return;
    app_copy_bytes(NULL);
    if (fclose(watch.sample) != 0) app_fail("out of memory");
    if (watch.size > 0) app_watch_text("Samples", step, watch.text);
    free(watch.text);
}

void app_watch_matrix(const char *heading, const char *caption, int rows, int cols, const char *const *row_words,
                      const char *const *col_words, const float *numbers)
{
    if (!watch.report) return;
    check_report(wg_report_matrix(watch.report, heading, caption, rows, cols, row_words, col_words, numbers));
}

void app_watch_picture(const char *heading, int number, const char *caption, int64_t step, const uint8_t *pixels,
                       int64_t height, int64_t width)
{
    char tag[200];
    if (!watch.report) return;
    snprintf(tag, sizeof tag, "%.90s/%d", heading, number);
    check_report(wg_report_picture(watch.report, heading, caption, pixels, height, width, 1));
    if (watch.log) check_log(wg_log_image(watch.log, tag, step, pixels, height, width, 1));
}
