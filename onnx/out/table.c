/* The table of ops: a list of families. */
#include "writer.h"

#include <string.h>

#include "../../ops/ops.h"

static const wg__row *const families[] = {wg__out_pointwise, wg__out_view,     wg__out_product,
                                          wg__out_reduce,    wg__out_norm,     wg__out_index,
                                          wg__out_make,      wg__out_gradient, wg__out_indexed};

/* An op of a user may have the name of one of the library. */
static bool is_of_library(const wg_op *op)
{
    const wg_op *one;
    for (int i = 0; (one = wg_op_at(i)); i++)
        if (one == op) return true;
    return false;
}

const wg__row *wg__row_of(const wg_op *op)
{
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const wg__row *row = families[f]; row->op; row++)
            if (strcmp(row->op, op->name) == 0) return is_of_library(op) ? row : NULL;
    return NULL;
}

const char *wg__row_instead(const wg_op *op)
{
    static const struct {
        const char *op, *instead;
    } hints[] = {
        {"dropout_mask", "record the program in eval mode: wg_set_training(tape, false)"},
        {"uniform", "draw numbers outside of the program and make them an input"},
        {"normal", "draw numbers outside of the program and make them an input"},
        {"bernoulli", "draw numbers outside of the program and make them an input"},
        {"cross_entropy", "name what the loss is computed from as output"},
        {"label_scale", "name what the loss is computed from as output"},
        {"target_weight", "name what the loss is computed from as output"},
        {"pool_argmax", "use wg_max_pool2d without the places of the maxima"},
    };
    if (!is_of_library(op) && strcmp(op->name, "widen") == 0)
        return "the parameter is stored in bf16: load it into a set of f32";
    if (!is_of_library(op)) return "it is an op of yours: write it in ops of ops/ops.h";
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strcmp(op->name, hints[i].op) == 0) return hints[i].instead;
    return "write it in other ops, or name what it reads as output";
}
