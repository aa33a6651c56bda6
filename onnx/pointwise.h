/* Internal. What elementwise rows share. */
#ifndef WG_ONNX_POINTWISE_H
#define WG_ONNX_POINTWISE_H

#include "internal.h"

/* Result 0 from the known numbers of one or two operands, which broadcast; integers are truncated, and wrap. */
void wg__known_two(wg__call *c, double (*number)(double a, double b), int type);
/* Whether the row has a function of numbers, and all operands are known and few or wanted. */
bool wg__can_know(wg__call *c);
/* Integers of 8 and 16 bits brought back into their range, as C does; others as they are. */
wg_tensor wg__wrap(wg_tensor x, int type);
double wg__wrap_number(double x, int type);

#endif
