/* The report that a training run leaves: one HTML page that needs nothing else, neither a server nor the network.
 *
 *     wg_report *report = wg_report_new("digits");
 *     wg_report_setting(report, "learning rate", "0.01");
 *     for (int64_t step = 0; step < steps; step++) wg_report_line(report, "loss", "training", step, loss);
 *     wg_report_dot(report, "accuracy", "held out", steps, accuracy);
 *     wg_report_result(report, "accuracy", "98.2 %");
 *     wg_report_run(report, tape, params);
 *     wg_error error = {0};
 *     if (wg_report_write(report, "report.html", &error) != WG_OK) fprintf(stderr, "%s\n", error.text);
 *     wg_report_free(report);
 *
 * The page shows, if they were given: results, charts, texts, matrices and pictures in the order of the calls, time by
 * op and memory by scope, settings. It follows the reader's preference for light or dark. The same calls give the same
 * bytes.
 *
 * Errors are sticky: each call returns its status, and wg_report_write returns the first one, so that a program may
 * ignore the others. Text is made printable (wg_printable); a name is 1 to 200 bytes of UTF-8. */
#ifndef WG_REPORT_H
#define WG_REPORT_H

#include "../autograd/param.h"
#include "../autograd/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_report wg_report; /* a page in the making */

/* Returns NULL if the title is no name (see above) or out of memory. */
WG_API wg_report *wg_report_new(const char *title);
WG_API void wg_report_free(wg_report *report); /* accepts NULL */
/* The first error, or WG_OK; and its message, "" if there was none. */
WG_API wg_status wg_report_status(const wg_report *report);
WG_API const char *wg_report_message(const wg_report *report);

/* A row of the settings. */
WG_API wg_status wg_report_setting(wg_report *report, const char *name, const char *text);
/* A figure at the top of the page. */
WG_API wg_status wg_report_result(wg_report *report, const char *name, const char *text);

/* Adds a point to a series of a chart: of a line, or of dots. Steps are finite and should increase. A series takes
 * bounded memory: of more than 512 points, neighbours are averaged. A number that is not finite is counted, and stated
 * below the chart. At most 64 series. */
WG_API wg_status wg_report_line(wg_report *report, const char *chart, const char *series, double step,
                                double number);
WG_API wg_status wg_report_dot(wg_report *report, const char *chart, const char *series, double step,
                               double number);

/* A text, such as a sample of a language model. Exhibits with the same heading, one after the other, share it. */
WG_API wg_status wg_report_text(wg_report *report, const char *heading, const char *caption, const char *text);
/* A picture: pixels[height][width][channels] from 0 to 255, rows from the top; channels: 1 grey, 3 RGB, 4 RGBA. Sizes
 * as of wg_log_image. */
WG_API wg_status wg_report_picture(wg_report *report, const char *heading, const char *caption,
                                   const uint8_t *pixels, int64_t height, int64_t width, int channels);
/* A matrix of numbers[rows][cols] with words for rows and columns, each cell as dark as its number is large: attention
 * weights, a confusion matrix. Negative numbers and those that are not finite are shown as 0. At most 65536 cells. */
WG_API wg_status wg_report_matrix(wg_report *report, const char *heading, const char *caption, int rows, int cols,
                                  const char *const *row_words, const char *const *col_words, const float *numbers);

/* Time by op and by scope of what the tape has traced (wg_trace_runs), memory by scope of the plan that ran last
 * (wg_memory_each), and the parameters. Replaces what an earlier call showed. params may be NULL. */
WG_API wg_status wg_report_run(wg_report *report, const wg_tape *tape, const wg_params *params);

/* Writes the page, atomically (wg_file_write). Can be called again, with more to show. */
WG_CHECKED WG_API wg_status wg_report_write(const wg_report *report, const char *path, wg_error *error);

#ifdef __cplusplus
}
#endif
#endif
