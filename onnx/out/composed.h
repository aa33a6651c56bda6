/* Internal to onnx/out: compositions of pointwise operators, an expression each. */
#ifndef WG_ONNX_COMPOSED_H
#define WG_ONNX_COMPOSED_H

#include "writer.h"

/* A number of operand 0's dtype. */
static inline const char *number(wg__out *o, double value) { return wg__number(o, wg__in_node(o, 0).dtype, value); }

/* out_NAME writes the expression; a, b, c are the operands. */
#define COMPOSED(name, expression)                                                                                 \
    static const char *out_##name(wg__out *o)                                                                      \
    {                                                                                                              \
        const char *const a = wg__in_name(o, 0), *const b = wg__in_name(o, 1), *const c = wg__in_name(o, 2);       \
        (void)a, (void)b, (void)c;                                                                                 \
        return expression;                                                                                         \
    }
#define NODE1(op_type, x)    wg__out_node1(o, op_type, x)
#define NODE2(op_type, x, y) wg__out_node2(o, op_type, x, y)
#define WHERE(x, y, z)       wg__out_where(o, x, y, z)

#endif
