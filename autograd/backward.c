/* Backward: computes a loss and adds its gradients to those of parameters. */
#include "engine.h"

static wg_status backward(wg_tensor loss, wg_param *const *params, size_t n)
{
    const wg__node *node = wg__resolve(loss, "backward");
    wg_tape *tape = loss.tape;
    if (!tape) return WG_ERR_ARGUMENT;
    if (!node) {
        if (!wg__failed(tape)) wg__tape_error(tape, WG_ERR_ARGUMENT, "backward: the loss is nil");
        return tape->errors.first.status;
    }
    if (wg__numel_of(tape, node) != 1) {
        char text[128];
        wg_fail(loss, WG_ERR_SHAPE, "backward",
                "the loss has shape %s: it must be one number (wg_mean_all, wg_sum_all)",
                wg_shape_text(wg__shape_of_node(tape, node), text, sizeof text));
        return tape->errors.first.status;
    }
    return wg__force(
        tape, &(wg__wanted){.nodes = &loss.node, .n = 1, .loss = loss.node, .only = params, .n_only = (uint32_t)n});
}

/* If a step fails, even while it is recorded, its gradients become invalid, and optimizers reject them. */
wg_status wg_backward_into(wg_tensor loss, wg_param *const *params, size_t n)
{
    wg_status status = backward(loss, params, n);
    for (uint32_t i = 0; status != WG_OK && loss.tape && i < loss.tape->n_leaves; i++)
        if (loss.tape->leaves[i].param) wg__param_grad_invalid(loss.tape->leaves[i].param);
    return status;
}

wg_status wg_backward(wg_tensor loss) { return wg_backward_into(loss, NULL, 0); }

size_t wg_backward_bytes(wg_tensor loss)
{
    if (!wg__resolve(loss, "backward_bytes")) return 0;
    const wg__plan *plan = wg__plan_for(loss.tape, &(wg__wanted){.nodes = &loss.node, .n = 1, .loss = loss.node});
    return plan ? wg__plan_bytes(plan) + wg__staging_bytes(loss.tape, plan) : 0;
}
