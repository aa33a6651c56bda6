/* Generated pictures: seeded random numbers; strokes and shapes with smooth edges on a square plane of numbers. x
 * points right, y down; the centre of the first pixel is (0.5, 0.5). */
#ifndef PICTURES_H
#define PICTURES_H

#include <stdint.h>

/* ---- random numbers: of app_bits ---- */

/* In [low, high). */
double random_real(uint64_t *state, double low, double high);
/* 0 .. n - 1 */
int random_below(uint64_t *state, int n);
/* Mean 0, deviation 1. */
double random_normal(uint64_t *state);

/* ---- drawing: a pixel becomes max(its value, value times coverage) ---- */

typedef enum shape_kind { SHAPE_CIRCLE = 0, SHAPE_SQUARE, SHAPE_TRIANGLE, SHAPE_KINDS } shape_kind;

/* A shape inside the circle or square of this radius around (x, y). plane[size][size]. */
void draw_shape(float *plane, int size, shape_kind kind, double x, double y, double radius, double value);
/* A stroke of this width with round ends. */
void draw_stroke(float *plane, int size, double x0, double y0, double x1, double y1, double width, double value);

#endif
