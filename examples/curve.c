/* The loss curve as an SVG. A comment at its end stores the points, which a resumed run continues. */
#include "app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 720, HEIGHT = 400, LEFT = 60, RIGHT = 20, TOP = 40, BOTTOM = 46, STRETCHES = 300, MOST_TICKS = 20 };

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

typedef struct frame {
    double x0, x1, y0, y1; /* the visible range */
} frame;

static double to_x(const frame *f, double x)
{
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}
static double to_y(const frame *f, double y)
{
    return HEIGHT - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, for about five grid lines. */
static double tick_distance(double range)
{
    double power = pow(10, floor(log10(range / 5))), parts = range / 5 / power;
    return power * (parts < 1.5 ? 1 : parts < 3.5 ? 2 : parts < 7.5 ? 5 : 10);
}

/* A loss that overflowed has no place in the picture. */
static bool is_shown(double y) { return fabs(y) < 1e300; }

static void include_points(frame *f, const app_points *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!is_shown(p->y[i])) continue;
        f->x0 = fmin(f->x0, p->x[i]), f->x1 = fmax(f->x1, p->x[i]);
        f->y0 = fmin(f->y0, p->y[i]), f->y1 = fmax(f->y1, p->y[i]);
    }
}

/* Widens a range that is empty, or so narrow that ticks would not differ as doubles. */
static void widen(double *low, double *high)
{
    if (!(*low <= *high)) *low = *high = 0;
    const double least = fmax(1e-200, 1e-9 * fmax(fabs(*low), fabs(*high)));
    if (*high - *low > least) return;
    *low -= fmax(1, least);
    *high += fmax(1, least);
}

/* A range with all points, rounded to ticks. */
static frame frame_of(const app_points *a, const app_points *b)
{
    frame f = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    include_points(&f, a);
    include_points(&f, b);
    widen(&f.x0, &f.x1);
    widen(&f.y0, &f.y1);
    double tick = tick_distance(f.y1 - f.y0);
    f.y0 = floor(f.y0 / tick) * tick;
    f.y1 = ceil(f.y1 / tick) * tick;
    return f;
}

static void draw_axes(FILE *out, const frame *f, const char *title)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"#444\">\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"#fff\"/>\n<text x=\"%d\" y=\"24\" font-size=\"14\">",
            WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    app_put_svg(out, title);
    fprintf(out, "</text>\n");
    const double ty = tick_distance(f->y1 - f->y0), tx = tick_distance(f->x1 - f->x0), x0 = ceil(f->x0 / tx) * tx;
    for (int i = 0; i < MOST_TICKS && f->y0 + i * ty <= f->y1 + ty / 2; i++) {
        const double y = f->y0 + i * ty;
        fprintf(
            out,
            "<path d=\"M%d %.1fH%d\" stroke=\"#e4e4e4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
            LEFT, to_y(f, y), WIDTH - RIGHT, LEFT - 8, to_y(f, y) + 4, fabs(y) < ty / 2 ? 0 : y);
    }
    for (int i = 0; i < MOST_TICKS && x0 + i * tx <= f->x1; i++)
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", to_x(f, x0 + i * tx),
                HEIGHT - BOTTOM + 18, x0 + i * tx);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">step</text>\n", WIDTH - RIGHT, HEIGHT - 10);
}

/* Means over ranges of steps keep the line readable and the file small. */
static app_points means_of(const app_points *p, double stretch)
{
    app_points means = {0};
    for (size_t i = 0; i < p->n;) {
        double end = p->x[i] + stretch, x = 0, y = 0;
        size_t n = 0;
        do {
            if (is_shown(p->y[i])) x += p->x[i], y += p->y[i], n++;
        } while (++i < p->n && p->x[i] < end);
        if (n) app_points_add(&means, x / (double)n, y / (double)n);
    }
    return means;
}

static void draw_line(FILE *out, const frame *f, const app_points *p)
{
    fprintf(out, "<polyline fill=\"none\" stroke=\"#2a6fbb\" stroke-width=\"1.5\" points=\"");
    for (size_t i = 0; i < p->n; i++) fprintf(out, "%.1f,%.1f ", to_x(f, p->x[i]), to_y(f, p->y[i]));
    fprintf(out, "\"/>\n<text x=\"%d\" y=\"24\" text-anchor=\"end\" fill=\"#2a6fbb\">training</text>\n",
            WIDTH - RIGHT - 80);
}

static void draw_dots(FILE *out, const frame *f, const app_points *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (is_shown(p->y[i]))
            fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#d1622b\"/>\n", to_x(f, p->x[i]),
                    to_y(f, p->y[i]));
    if (p->n)
        fprintf(out, "<text x=\"%d\" y=\"24\" text-anchor=\"end\" fill=\"#d1622b\">validation</text>\n",
                WIDTH - RIGHT);
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
    frame f = frame_of(training, validation);
    draw_axes(out, &f, title);
    app_points line = means_of(training, (f.x1 - f.x0) / STRETCHES);
    draw_line(out, &f, &line);
    draw_dots(out, &f, validation);
    fputs("</svg>" BEFORE_POINTS, out);
    write_points(out, 't', &line);
    write_points(out, 'v', validation);
    fputs("-->\n", out);
    app_points_fini(&line);
    wg_status status = fclose(out) == 0 ? wg_file_write(path, bytes, size, error)
                                        : wg_error_set(error, WG_ERR_MEMORY, "%.160s: out of memory", path);
    free(bytes);
    return status;
}
