/* The list of all ops: the lists of the families, concatenated. */
#include "internal.h"

#define LIST(family) wg__##family##_ops,
static const wg_op *const *const families[] = {wg__structural_list, WG__FAMILIES(LIST)};

const wg_op *wg_op_at(int index)
{
    if (index < 0) return NULL;
    int row = 0;
    for (const wg_op *op; (op = wg__pointwise_op(row)); row++)
        if (row == index) return op;
    index -= row;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        for (const wg_op *const *op = families[f]; *op; op++)
            if (index-- == 0) return *op;
    }
    return NULL;
}
