/* The list of all ops: the lists of the families, concatenated. */
#include "internal.h"

static const wg_op *const *const families[] = {
    wg__structural_list, wg__view_ops,   wg__join_ops,    wg__matmul_ops,  wg__index_ops,
    wg__make_ops,        wg__reduce_ops, wg__softmax_ops, wg__loss_ops,    wg__norm_ops,
    wg__update_ops,      wg__scan_ops,   wg__dropout_ops, wg__conv_ops,    wg__pool_ops,
    wg__attention_ops,   wg__center_ops, wg__masked_ops,  wg__scatter_ops, wg__search_ops,
};

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
