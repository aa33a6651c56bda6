/* What a descriptor must hold: checked once, when a tape records the op for the first time, so that the engine may rely
 * on it from then on. */
#include "graph.h"

enum {
    KNOWN_FLAGS = WG_OP_STRIDED | WG_OP_NO_GRADIENT | WG_OP_RANDOM | WG_OP_CHECKS_INDEX | WG_OP_SMOOTH |
                  WG_OP_ADDS_TO | WG_OP_UPDATES
};

/* What is wrong with the counts of operands; NULL if nothing is. */
static const char *operands_fault(const wg_op *op)
{
    if (op->min_in < 0 || (op->max_in >= 0 && op->max_in < op->min_in))
        return "min_in must be 0 or more, and max_in not smaller, or negative for no limit";
    if (op->kind == WG_KIND_POINTWISE && (op->min_in < 1 || op->max_in < 1 || op->max_in > 4))
        return "a pointwise op takes 1 to 4 operands";
    if (op->kind == WG_KIND_VIEW && (op->min_in != 1 || op->max_in != 1)) return "a view has one operand";
    if ((op->flags & WG_OP_ADDS_TO) && (op->kind != WG_KIND_GENERAL || op->max_in != op->min_in + 1))
        return "WG_OP_ADDS_TO needs a general op with one optional operand, the last";
    if ((op->flags & WG_OP_UPDATES) && (op->kind != WG_KIND_GENERAL || op->max_in != op->min_in || op->max_in < 1))
        return "WG_OP_UPDATES needs a general op with a fixed number of operands";
    return NULL;
}

static const char *fault(const wg_tape *tape, const wg_op *op)
{
    const bool is_view = op->kind == WG_KIND_VIEW;
    switch (op->kind) {
    case WG_KIND_GENERAL:
    case WG_KIND_VIEW:
        if (!op->infer) return "infer is NULL";
        break;
    case WG_KIND_POINTWISE: break;
    case WG_KIND_PRODUCT: return op == tape->structural->matmul ? NULL : "only wg_matmul has this kind";
    case WG_KIND_CONCAT: return op == tape->structural->concat ? NULL : "only wg_concat has this kind";
    default: return "kind must be general, pointwise or view";
    }
    if (is_view && !op->view) return "view is NULL";
    if (!is_view && !op->select) return "select is NULL";
    if (op->flags & ~(unsigned)KNOWN_FLAGS) return "unknown flags";
    return operands_fault(op);
}

uint32_t wg__op_id(wg_tape *tape, const wg_op *op)
{
    const uint32_t known = wg__find_op(tape, op);
    if (known) return known;
    if (!op || op->struct_size != sizeof *op || !op->name || !op->name[0]) {
        const char *what = !op                             ? "the descriptor is NULL"
                           : op->struct_size != sizeof *op ? "struct_size of the descriptor is not sizeof(wg_op)"
                                                           : "the descriptor has no name";
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "record", "%s", what), 0;
    }
    const char *what = fault(tape, op);
    if (what) return wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "invalid descriptor: %s", what), 0;
    const uint32_t id = wg__intern_op(tape, op);
    if (!id) wg__out_of_memory(tape);
    return id;
}
