/* Charts: axes whose ticks are 1, 2 or 5 times a power of ten, lines and dots in colours that differ in light and dark,
 * and to eyes that see red and green alike. */
#include "chart.h"

#include "markup.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH = 720,
    HEIGHT = 360,
    LEFT = 64,
    RIGHT = 28,
    TOP = 60,
    BOTTOM = 44,
    MOST_TICKS = 20,
    COLOURS = 6,
    MOST = 64
};

const char wg__chart_style[] =
    ".wg-chart{font:12px system-ui,sans-serif;fill:#5b6470}.wg-title{font-size:14px;font-weight:600;fill:#1b2029}"
    ".wg-chart path{stroke:#e3e6ea}.wg-chart polyline{fill:none;stroke-width:1.75;stroke-linejoin:round}"
    ".wg-l0{stroke:#2360c4}.wg-l1{stroke:#c4570b}.wg-l2{stroke:#1a7f5a}.wg-l3{stroke:#8b3fc2}.wg-l4{stroke:#a0185a}"
    ".wg-l5{stroke:#4d6b80}.wg-d0{fill:#2360c4}.wg-d1{fill:#c4570b}.wg-d2{fill:#1a7f5a}.wg-d3{fill:#8b3fc2}"
    ".wg-d4{fill:#a0185a}.wg-d5{fill:#4d6b80}"
    "@media(prefers-color-scheme:dark){.wg-chart{fill:#9aa4b1}.wg-title{fill:#e8ebef}.wg-chart path{stroke:#2d333c}"
    ".wg-l0{stroke:#6ea8ff}.wg-l1{stroke:#ff9d52}.wg-l2{stroke:#4fd1a1}.wg-l3{stroke:#c99bf0}.wg-l4{stroke:#ff86b7}"
    ".wg-l5{stroke:#a9c3d6}.wg-d0{fill:#6ea8ff}.wg-d1{fill:#ff9d52}.wg-d2{fill:#4fd1a1}.wg-d3{fill:#c99bf0}"
    ".wg-d4{fill:#ff86b7}.wg-d5{fill:#a9c3d6}}";

/* ---- the visible range ---- */

typedef struct frame {
    double x0, x1, y0, y1;
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

/* A number that overflowed has no place in the picture. */
static bool is_shown(double y) { return fabs(y) < 1e300; }

static void include_points(frame *f, const wg_series *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!is_shown(s->y[i])) continue;
        f->x0 = fmin(f->x0, s->x[i]), f->x1 = fmax(f->x1, s->x[i]);
        f->y0 = fmin(f->y0, s->y[i]), f->y1 = fmax(f->y1, s->y[i]);
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

/* A range with all points, rounded to ticks; steps that begin soon after 0 begin at 0. */
static frame frame_of(const wg_series *series, size_t n)
{
    frame f = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i++) include_points(&f, &series[i]);
    widen(&f.x0, &f.x1);
    widen(&f.y0, &f.y1);
    if (f.x0 > 0 && f.x0 < 0.5 * f.x1) f.x0 = 0;
    double tick = tick_distance(f.y1 - f.y0);
    f.y0 = floor(f.y0 / tick) * tick;
    f.y1 = ceil(f.y1 / tick) * tick;
    return f;
}

/* ---- drawing ---- */

static void put_axes(wg__bytes *out, const frame *f)
{
    const double ty = tick_distance(f->y1 - f->y0), tx = tick_distance(f->x1 - f->x0), x0 = ceil(f->x0 / tx) * tx;
    for (int i = 0; i < MOST_TICKS && f->y0 + i * ty <= f->y1 + ty / 2; i++) {
        const double y = f->y0 + i * ty;
        wg__bytes_print(out, "<path d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                        LEFT, to_y(f, y), WIDTH - RIGHT, LEFT - 8, to_y(f, y) + 4, fabs(y) < ty / 2 ? 0 : y);
    }
    for (int i = 0; i < MOST_TICKS && x0 + i * tx <= f->x1; i++)
        wg__bytes_print(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.10g</text>\n",
                        to_x(f, x0 + i * tx), HEIGHT - BOTTOM + 18, fabs(x0 + i * tx) < tx / 2 ? 0 : x0 + i * tx);
    wg__bytes_print(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">step</text>\n", WIDTH - RIGHT, HEIGHT - 8);
}

static void put_line(wg__bytes *out, const frame *f, const wg_series *s, int colour)
{
    wg__bytes_print(out, "<polyline class=\"wg-l%d\" points=\"", colour);
    for (size_t i = 0; i < s->n; i++)
        if (is_shown(s->y[i])) wg__bytes_print(out, "%.1f,%.1f ", to_x(f, s->x[i]), to_y(f, s->y[i]));
    wg__bytes_print(out, "\"/>\n");
}

static void put_dots(wg__bytes *out, const frame *f, const wg_series *s, int colour)
{
    for (size_t i = 0; i < s->n; i++)
        if (is_shown(s->y[i]))
            wg__bytes_print(out,
                            "<circle class=\"wg-d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>step %.10g: "
                            "%.6g</title></circle>\n",
                            colour, to_x(f, s->x[i]), to_y(f, s->y[i]), s->x[i], s->y[i]);
}

/* The name and the last number, from left to right; a character is about 7 wide. Returns where the next one begins. */
static int put_legend(wg__bytes *out, const wg_series *s, int colour, int x)
{
    enum { NAME = 41 };
    const size_t before = out->size;
    wg__bytes_print(out, "<text class=\"wg-d%d\" x=\"%d\" y=\"44\">%s ", colour, x, s->dots ? "●" : "━");
    const size_t name = out->size;
    wg__put_short(out, s->name, NAME);
    for (size_t i = s->n; i > 0; i--)
        if (is_shown(s->y[i - 1])) {
            wg__bytes_print(out, " %.4g", s->y[i - 1]);
            break;
        }
    const int length = (int)(out->size - name);
    wg__bytes_print(out, "</text>\n");
    if (x + 7 * length > WIDTH) out->size = before; /* no room: the line has its colour only */
    return x + 7 * length + 36;
}

void wg__put_chart(wg__bytes *out, const char *title, const wg_series *series, size_t n, bool alone)
{
    const frame f = frame_of(series, n);
    wg__bytes_print(out, "<svg class=\"wg-chart\" viewBox=\"0 0 %d %d\" role=\"img\"", WIDTH, HEIGHT);
    if (alone)
        wg__bytes_print(
            out,
            " xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\">\n<style>%s.wg-ground{fill:"
            "#fff}@media(prefers-color-scheme:dark){.wg-ground{fill:#16191e}}</style>\n<rect "
            "class=\"wg-ground\" width=\"100%%\" height=\"100%%\"/>\n",
            WIDTH, HEIGHT, wg__chart_style);
    else
        wg__bytes_print(out, ">\n");
    wg__bytes_print(out, "<text class=\"wg-title\" x=\"%d\" y=\"22\">", LEFT);
    wg__put_short(out, title, 100);
    wg__bytes_print(out, "</text>\n");
    put_axes(out, &f);
    int at = LEFT;
    for (size_t i = 0; i < n; i++) {
        if (series[i].n == 0) continue;
        (series[i].dots ? put_dots : put_line)(out, &f, &series[i], (int)(i % COLOURS));
        at = put_legend(out, &series[i], (int)(i % COLOURS), at);
    }
    wg__bytes_print(out, "</svg>\n");
}

static bool is_valid(const wg_series *series, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!series[i].name || (series[i].n > 0 && (!series[i].x || !series[i].y))) return false;
        for (size_t k = 0; k < series[i].n; k++)
            if (!isfinite(series[i].x[k])) return false;
    }
    return true;
}

wg_status wg_chart_svg(const char *title, const wg_series *series, size_t n, FILE *out)
{
    if (!title || !series || !out || n > MOST || !is_valid(series, n)) return WG_ERR_ARGUMENT;
    wg__bytes bytes = {0};
    wg__put_chart(&bytes, title, series, n, true);
    wg_status status = bytes.failed ? WG_ERR_MEMORY : WG_OK;
    if (status == WG_OK && fwrite(bytes.data, 1, bytes.size, out) != bytes.size) status = WG_ERR_IO;
    wg__bytes_fini(&bytes);
    return status;
}
