/* Internal. The state of a report: its sections as HTML, and the points of its curves. */
#ifndef WG_PAGE_H
#define WG_PAGE_H

#include "markup.h"
#include "report.h"

enum { WG__NAME = 200, WG__MOST_SERIES = 64, WG__MOST_POINTS = 512 };

/* Each point is the mean of `each` points that were added, the last one of fewer. */
typedef struct wg__curve {
    char chart[WG__NAME + 1], name[WG__NAME + 1];
    bool dots;
    double *x, *y; /* [WG__MOST_POINTS] */
    size_t n, each, in_last;
    uint64_t nonfinite;
} wg__curve;

typedef enum wg__exhibit { WG__NO_EXHIBIT, WG__TEXTS, WG__PICTURES, WG__MATRICES } wg__exhibit;

struct wg_report {
    wg_error error;
    char title[WG__NAME + 1];
    wg__bytes results, settings, exhibits, run;
    wg__exhibit open; /* the group that the last exhibit is in */
    char heading[WG__NAME + 1];
    wg__curve *curves[WG__MOST_SERIES];
    size_t n_curves;
};

/* ---- report_check.c ---- */

bool wg__is_name(const char *text);
/* Keeps the first error. */
wg_status wg__report_fail(wg_report *report, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
/* Checks the report and a name; false: *status is the error. */
bool wg__report_begin(wg_report *report, const char *what, const char *name, wg_status *status);
/* The status of a section to which something was added. */
wg_status wg__report_end(wg_report *report, const wg__bytes *section);

/* ---- curves.c ---- */

void wg__curves_free(wg_report *report);
void wg__put_curves(wg__bytes *out, const wg_report *report);

#endif
