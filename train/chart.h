/* Charts of numbers over steps, as SVG.
 *
 *     wg_series lines[] = {{.name = "training", .x = steps, .y = losses, .n = n},
 *                          {.name = "validation", .x = at, .y = tested, .n = m, .dots = true}};
 *     if (wg_chart_svg("loss", lines, 2, file) != WG_OK) ...
 */
#ifndef WG_CHART_H
#define WG_CHART_H

#include <stdio.h>

#include "../autograd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A line, or dots, of a chart. */
typedef struct wg_series {
    const char *name;    /* in the legend */
    const double *x, *y; /* [n] x must be finite; a y that is not, or beyond 1e300, is left out */
    size_t n;            /* points */
    bool dots;           /* a dot for each point, instead of a line through them */
} wg_series;

/* Writes an SVG element of 720 x 360: title, axes, a legend with the last number of each series. It follows the
 * reader's preference for light or dark. The text of a name is made printable and cut after 40 bytes. n: at most 64.
 * WG_ERR_ARGUMENT for NULL, for a series without numbers that has n > 0, and for an x that is not finite;
 * WG_ERR_MEMORY; WG_ERR_IO. */
WG_API wg_status wg_chart_svg(const char *title, const wg_series *series, size_t n, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
