/* The curves of a report: points in bounded memory, and a chart for each name. */
#include "page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static wg__curve *find(const wg_report *report, const char *chart, const char *name)
{
    for (size_t i = 0; i < report->n_curves; i++)
        if (!strcmp(report->curves[i]->chart, chart) && !strcmp(report->curves[i]->name, name))
            return report->curves[i];
    return NULL;
}

static wg__curve *curve_new(const char *chart, const char *name, bool dots)
{
    wg__curve *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    strcpy(c->chart, chart);
    strcpy(c->name, name);
    c->dots = dots;
    c->each = 1;
    c->x = malloc(2 * WG__MOST_POINTS * sizeof *c->x);
    if (!c->x) {
        free(c);
        return NULL;
    }
    c->y = c->x + WG__MOST_POINTS;
    return c;
}

void wg__curves_free(wg_report *report)
{
    for (size_t i = 0; i < report->n_curves; i++) {
        free(report->curves[i]->x);
        free(report->curves[i]);
    }
    report->n_curves = 0;
}

/* Averages neighbours: half as many points, each of twice as many. */
static void thin(wg__curve *c)
{
    for (size_t i = 0; i < c->n / 2; i++) {
        c->x[i] = c->x[2 * i] / 2 + c->x[2 * i + 1] / 2;
        c->y[i] = c->y[2 * i] / 2 + c->y[2 * i + 1] / 2;
    }
    c->n /= 2;
    c->each *= 2;
    c->in_last = c->each;
}

static void add_point(wg__curve *c, double x, double y)
{
    if (c->n == 0 || c->in_last == c->each) {
        if (c->n == WG__MOST_POINTS) thin(c);
        c->x[c->n] = x, c->y[c->n] = y;
        c->n++, c->in_last = 1;
        return;
    }
    const double part = 1 / (double)++c->in_last; /* a running mean */
    c->x[c->n - 1] += part * x - part * c->x[c->n - 1];
    c->y[c->n - 1] += part * y - part * c->y[c->n - 1];
}

static wg_status add(wg_report *report, const char *chart, const char *name, double x, double y, bool dots)
{
    wg_status status = WG_OK;
    if (!wg__report_begin(report, "chart", chart, &status) || !wg__report_begin(report, "series", name, &status))
        return status;
    if (!isfinite(x)) return wg__report_fail(report, WG_ERR_ARGUMENT, "chart %.80s: a step is not finite", chart);
    wg__curve *c = find(report, chart, name);
    if (!c && report->n_curves == WG__MOST_SERIES)
        return wg__report_fail(report, WG_ERR_ARGUMENT, "chart %.80s: more than %d series", chart, WG__MOST_SERIES);
    if (!c) {
        c = curve_new(chart, name, dots);
        if (!c) return wg__report_fail(report, WG_ERR_MEMORY, "out of memory");
        report->curves[report->n_curves++] = c;
    }
    if (isfinite(y))
        add_point(c, x, y);
    else
        c->nonfinite++;
    return WG_OK;
}

wg_status wg_report_line(wg_report *report, const char *chart, const char *series, double step, double number)
{
    return add(report, chart, series, step, number, false);
}

wg_status wg_report_dot(wg_report *report, const char *chart, const char *series, double step, double number)
{
    return add(report, chart, series, step, number, true);
}

/* ---- drawing ---- */

static bool is_first_of_chart(const wg_report *report, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(report->curves[k]->chart, report->curves[i]->chart)) return false;
    return true;
}

void wg__put_curves(wg__bytes *out, const wg_report *report)
{
    for (size_t i = 0; i < report->n_curves; i++) {
        wg_series series[WG__MOST_SERIES];
        size_t n = 0;
        uint64_t nonfinite = 0;
        if (!is_first_of_chart(report, i)) continue;
        for (size_t k = i; k < report->n_curves; k++) {
            const wg__curve *c = report->curves[k];
            if (strcmp(c->chart, report->curves[i]->chart) != 0) continue;
            series[n++] = (wg_series){.name = c->name, .x = c->x, .y = c->y, .n = c->n, .dots = c->dots};
            nonfinite += c->nonfinite;
        }
        wg__bytes_print(out, "<figure class=\"chart\">\n");
        wg__put_chart(out, report->curves[i]->chart, series, n, false);
        if (nonfinite > 0)
            wg__bytes_print(out, "<figcaption>%llu number%s not finite.</figcaption>\n",
                            (unsigned long long)nonfinite, nonfinite == 1 ? " is" : "s are");
        wg__bytes_print(out, "</figure>\n");
    }
}
