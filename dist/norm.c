/* The norm of a gradient that is spread over the ranks. Squares are summed in f64, block after block of the flat order;
 * the sums of all blocks are gathered, and added in a tree that depends on their number alone. */
#include "internal.h"

#include <math.h>

/* The sum of (unit x)^2 over n elements: eight sums, which a compiler may compute side by side. */
#define SUM_SQUARES(name, real)                                                                                    \
    static double name(const real *x, int64_t n, double unit)                                                      \
    {                                                                                                              \
        double sum[8] = {0};                                                                                       \
        int64_t i = 0;                                                                                             \
        for (; i + 8 <= n; i += 8)                                                                                 \
            for (int k = 0; k < 8; k++) sum[k] += (unit * (double)x[i + k]) * (unit * (double)x[i + k]);           \
        for (int k = 0; i + k < n; k++) sum[k] += (unit * (double)x[i + k]) * (unit * (double)x[i + k]);           \
        return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));                  \
    }
SUM_SQUARES(sum_f32, float)
SUM_SQUARES(sum_f64, double)

static wg_status gather_squares(wg_dist *d, double unit, double *sum)
{
    const int64_t *cut = d->square_cut;
    union {
        float f32[WG__BLOCK];
        double f64[WG__BLOCK];
    } x;
    for (int64_t block = cut[d->place]; block < cut[d->place + 1]; block++) {
        const int64_t begin = block * WG__BLOCK, left = d->n_elements - begin;
        const int64_t n = left < WG__BLOCK ? left : WG__BLOCK;
        wg__flat_read(&d->grads, (wg__range){begin, begin + n}, &x);
        d->squares[block] = d->grads.size == sizeof(float) ? sum_f32(x.f32, n, unit) : sum_f64(x.f64, n, unit);
    }
    const int64_t blocks = cut[wg_world_size(d->world)];
    const wg__flat all = wg__flat_of(d->squares, blocks, sizeof *d->squares);
    const wg_status status = wg__gather(d->world, &all, cut, &d->world->counts.other_bytes);
    *sum = wg__tree_sum(d->squares, 1, 0, blocks);
    return status;
}

/* Squares of f64 may overflow or vanish; those of f32 do neither. Then in another unit, a power of two. */
wg_status wg__norm(wg_dist *d, double *norm)
{
    double sum, unit = 1;
    wg_status status = gather_squares(d, unit, &sum);
    if (d->grads.size == sizeof(double) && !(sum > 0x1p-900 && sum < INFINITY)) {
        unit = sum > 1 ? 0x1p-600 : 0x1p600;
        if (status == WG_OK) status = gather_squares(d, unit, &sum);
    }
    *norm = sqrt(sum) / unit;
    return status;
}

/* The first of this rank's part, or -1. */
static double find_nonfinite(const wg_dist *d)
{
    const wg__range part = wg__part(d, d->place);
    const int64_t end = part.end < d->n_elements ? part.end : d->n_elements;
    for (int64_t i = part.begin; i < end; i++) {
        union {
            float f32;
            double f64;
        } x;
        wg__flat_read(&d->grads, (wg__range){i, i + 1}, &x);
        if (!isfinite(d->grads.size == sizeof(float) ? (double)x.f32 : x.f64)) return (double)i;
    }
    return -1;
}

wg_status wg__dist_nonfinite(wg_dist *d, int64_t *at)
{
    const int ranks = wg_world_size(d->world);
    const double ours = find_nonfinite(d);
    *at = -1;
    for (int place = 0; place < ranks && *at < 0; place++) { /* parts are in the order of places */
        double theirs = ours;
        const wg_status status = wg__broadcast(d->world, wg__place(ranks, place), &theirs, sizeof theirs);
        if (status != WG_OK) return status;
        *at = (int64_t)theirs;
    }
    return WG_OK;
}
