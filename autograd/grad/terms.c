/* Nodes that differentiation records itself: constants and sums of gradients. */
#include "sweep.h"

#include <string.h>

wg_tensor wg__record_add(wg_tape *tape, wg_tensor a, wg_tensor b)
{
    if (!a.node) return b;
    if (!b.node) return a;
    wg_tensor in[2] = {a, b};
    return wg_record_on(tape, tape->structural->add, in, 2, NULL, 0);
}

wg_tensor wg__record_fill(wg_tape *tape, const wg_shape *shape, wg_dtype dtype, double value)
{
    wg__fill_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.shape = *shape;
    attr.dtype = dtype;
    attr.value = value;
    return wg_record_on(tape, tape->structural->fill, NULL, 0, &attr, sizeof attr);
}
