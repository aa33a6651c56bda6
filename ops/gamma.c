/* The second derivative of digamma, composed of ops that the engine differentiates: higher ones follow. */
#include "internal.h"

enum { SHIFT = 10 }; /* from there on the asymptotic series is exact within rounding */

static wg_tensor cube(wg_tensor x) { return wg_mul(wg_square(x), x); }

/* For x > 0: -2 / x^3 for each step from x up to x + SHIFT, and there, with t = 1 / x, the derivative of the series of
 * trigamma (Abramowitz, Stegun 6.4.13). */
static wg_tensor of_positive(wg_tensor x)
{
    static const double c[] = {0.5, -1.0 / 6, 1.0 / 6, -3.0 / 10, 5.0 / 6, -691.0 / 210};
    wg_tensor sum = wg__constant(x, 0);
    for (int k = 0; k < SHIFT; k++) sum = wg_add(sum, cube(wg_reciprocal(wg_add(x, wg__constant(x, k)))));
    wg_tensor t = wg_reciprocal(wg_add(x, wg__constant(x, SHIFT))), y = wg_square(t), p = wg__constant(x, c[5]);
    for (int i = 4; i >= 0; i--) p = wg_add(wg_mul(p, y), wg__constant(x, c[i]));
    wg_tensor series = wg_mul(y, wg_add(wg_add(t, wg__constant(x, 1)), wg_mul(y, p)));
    return wg_neg(wg_add(wg_mul(sum, wg__constant(x, 2)), series));
}

/* Below 0 by reflection: that of 1 - x, less 2 pi^3 cos(pi x) / sin(pi x)^3, which is the same for the distance to the
 * nearest integer, a number without rounding. */
wg_tensor wg__tetragamma(wg_tensor x)
{
    const double pi = 3.14159265358979323846;
    wg_tensor below = wg_less(x, wg__constant(x, 0)), one = wg__constant(x, 1);
    wg_tensor value = of_positive(wg_where(below, wg_sub(one, x), x));
    wg_tensor rest = wg_sub(x, wg_round(x));
    wg_tensor angle = wg_mul(wg_where(below, rest, wg__constant(x, -0.5)), wg__constant(x, pi));
    wg_tensor turned = wg_div(wg_cos(angle), cube(wg_sin(angle)));
    return wg_sub(value, wg_where(below, wg_mul(turned, wg__constant(x, 2 * pi * pi * pi)), wg__constant(x, 0)));
}
