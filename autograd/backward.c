/* Backward: computes a loss and adds its gradients to those of parameters. */
#include "engine.h"

/* For the n given parameters, or for all that the loss depends on if `only` is NULL. */
static wg_status backward(wg_tensor loss, wg_param *const *only, size_t n)
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
        tape, &(wg__wanted){.nodes = &loss.node, .n = 1, .loss = loss.node, .only = only, .n_only = (uint32_t)n});
}

/* If a step fails, even while it is recorded, its gradients become invalid, and optimizers reject them. */
static wg_status backward_or_invalid(wg_tensor loss, wg_param *const *only, size_t n)
{
    wg_status status = backward(loss, only, n);
    for (uint32_t i = 0; status != WG_OK && loss.tape && i < loss.tape->n_leaves; i++)
        if (loss.tape->leaves[i].param) wg__param_grad_invalid(loss.tape->leaves[i].param);
    return status;
}

wg_status wg_backward(wg_tensor loss) { return backward_or_invalid(loss, NULL, 0); }

wg_status wg_backward_into(wg_tensor loss, wg_param *const *params, size_t n)
{
    static wg_param *const none[1] = {NULL};
    if (n > 0 && !params) wg_fail(loss, WG_ERR_ARGUMENT, "backward_into", "the parameters are NULL");
    return backward_or_invalid(loss, params ? params : none, params && n <= UINT32_MAX ? n : 0);
}

size_t wg_backward_bytes(wg_tensor loss)
{
    if (!wg__resolve(loss, "backward_bytes")) return 0;
    const wg__plan *plan = wg__plan_for(loss.tape, &(wg__wanted){.nodes = &loss.node, .n = 1, .loss = loss.node});
    return plan ? wg__plan_bytes(plan) + wg__staging_bytes(loss.tape, plan) : 0;
}
