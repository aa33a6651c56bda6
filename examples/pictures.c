/* Drawing by signed distance: the distance of a pixel's centre from the edge gives its coverage. */
#include "pictures.h"

#include "app.h"

#include <math.h>

/* ---- random numbers ---- */

double random_real(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(app_bits(state) >> 11) * 0x1p-53;
}

int random_below(uint64_t *state, int n) { return (int)random_real(state, 0, n); }

double random_normal(uint64_t *state)
{
    double u = 1 - random_real(state, 0, 1), v = random_real(state, 0, 1);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* ---- drawing ---- */

/* Negative inside. dx, dy: from the centre of the shape. */
static double distance_to(shape_kind kind, double dx, double dy, double radius)
{
    switch (kind) {
    case SHAPE_SQUARE: return fmax(fabs(dx), fabs(dy)) - radius;
    case SHAPE_TRIANGLE: /* the tip at the top, the base at the bottom: sides of slope 2 */
        return fmax(dy - radius, (2 * fabs(dx) - dy - radius) / 2.2360679774997896);
    default: return hypot(dx, dy) - radius;
    }
}

static void cover(float *pixel, double distance, double value)
{
    double covered = fmin(fmax(0.5 - distance, 0), 1) * value;
    *pixel = fmaxf(*pixel, (float)covered);
}

void draw_shape(float *plane, int size, shape_kind kind, double x, double y, double radius, double value)
{
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++)
            cover(&plane[i * size + j], distance_to(kind, j + 0.5 - x, i + 0.5 - y, radius), value);
}

void draw_stroke(float *plane, int size, double x0, double y0, double x1, double y1, double width, double value)
{
    double ax = x1 - x0, ay = y1 - y0, length = fmax(ax * ax + ay * ay, 1e-12);
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            double px = j + 0.5 - x0, py = i + 0.5 - y0;
            double along = fmin(fmax((px * ax + py * ay) / length, 0), 1);
            cover(&plane[i * size + j], hypot(px - along * ax, py - along * ay) - width / 2, value);
        }
}
