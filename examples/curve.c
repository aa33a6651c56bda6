/* The loss curve as an SVG. A comment at its end stores the points, which a resumed run continues. */
#include "app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRETCHES = 300 };

void app_points_add(app_points *p, double x, double y)
{
    if (p->n == p->room) {
        p->room = p->room ? 2 * p->room : 256;
        p->x = realloc(p->x, p->room * sizeof *p->x);
        p->y = realloc(p->y, p->room * sizeof *p->y);
        if (!p->x || !p->y) app_fail("out of memory");
    }
    p->x[p->n] = x;
    p->y[p->n++] = y;
}

void app_points_fini(app_points *p)
{
    free(p->x);
    free(p->y);
    *p = (app_points){0};
}

/* Means over ranges of steps keep the line readable and the file small. */
static app_points means_of(const app_points *p, double stretch)
{
    app_points means = {0};
    for (size_t i = 0; i < p->n;) {
        double end = p->x[i] + stretch, x = 0, y = 0;
        size_t n = 0;
        do {
            if (fabs(p->y[i]) < 1e300) x += p->x[i], y += p->y[i], n++;
        } while (++i < p->n && p->x[i] < end);
        if (n) app_points_add(&means, x / (double)n, y / (double)n);
    }
    return means;
}

/* ---- the points as text ---- */

#define BEFORE_POINTS "\n<!-- points: training or validation, step, loss\n"

static void write_points(FILE *out, char kind, const app_points *p)
{
    for (size_t i = 0; i < p->n; i++) fprintf(out, "%c %.9g %.9g\n", kind, p->x[i], p->y[i]);
}

void app_curve_read(const char *path, double last, app_points *training, app_points *validation)
{
    wg_text text;
    if (wg_text_read(path, &text, NULL) != WG_OK) return;
    const char *at = strstr(text.bytes, BEFORE_POINTS);
    if (at) at += strlen(BEFORE_POINTS);
    for (char *middle, *end; at && (*at == 't' || *at == 'v'); at = end + (*end == '\n')) {
        app_points *to = *at == 't' ? training : validation;
        const double x = strtod(at + 1, &middle), y = strtod(middle, &end);
        if (middle == at + 1 || end == middle) break;
        if (x >= 0 && x <= last && (to->n == 0 || x > to->x[to->n - 1])) app_points_add(to, x, y);
    }
    wg_text_fini(&text);
}

wg_status app_curve_write(const char *path, const char *title, const app_points *training,
                          const app_points *validation, wg_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    if (!out) return wg_error_set(error, WG_ERR_MEMORY, "%.160s: out of memory", path);
    const double first = training->n ? training->x[0] : 0, last = training->n ? training->x[training->n - 1] : 0;
    app_points line = means_of(training, (last - first) / STRETCHES);
    const wg_series series[] = {
        {.name = "training", .x = line.x, .y = line.y, .n = line.n},
        {.name = "validation", .x = validation->x, .y = validation->y, .n = validation->n, .dots = true}};
    wg_status drawn = wg_chart_svg(title, series, 2, out);
    fputs(BEFORE_POINTS, out);
    write_points(out, 't', &line);
    write_points(out, 'v', validation);
    fputs("-->\n", out);
    app_points_fini(&line);
    wg_status status = fclose(out) == 0 && drawn == WG_OK
                           ? wg_file_write(path, bytes, size, error)
                           : wg_error_set(error, WG_ERR_MEMORY, "%.160s: out of memory", path);
    free(bytes);
    return status;
}
