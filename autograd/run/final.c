/* Gradients that are final, given to the tape's callback while the run goes on. */
#include "run.h"

void wg_tape_on_gradient(wg_tape *tape, wg_gradient_callback callback, void *context)
{
    if (tape) tape->on_gradient = (wg__on_gradient){callback, context};
}

wg_gradient_callback wg_tape_gradient_callback(const wg_tape *tape, void **context)
{
    if (context) *context = tape ? tape->on_gradient.context : NULL;
    return tape ? tape->on_gradient.callback : NULL;
}

/* Whether the run itself writes the gradient to its parameter, for there was none before; else its end does. */
static bool is_in_place(const wg_tape *tape, const wg__output *output)
{
    return output->memory == wg__param_grad_data(wg__trained(tape, output));
}

static void give(wg_tape *tape, const wg__output *output, const wg__fp *caller)
{
    wg_param *param = wg__trained(tape, output);
    wg__param_grad_final(param);
    wg__fp_end(caller);
    tape->modes.calls++;
    tape->on_gradient.callback(tape->on_gradient.context, param, wg__param_grad_data(param));
    tape->modes.calls--;
    (void)wg__fp_begin();
}

void wg__give_finals(wg_tape *tape, const wg__plan *plan, uint32_t next, uint32_t *given, const wg__fp *caller)
{
    assert(next <= plan->n_instrs);
    for (; *given < plan->n_finals && plan->finals[*given].end <= next; ++*given) {
        const wg__output *output = &plan->outputs[plan->finals[*given].output];
        if (tape->on_gradient.callback && is_in_place(tape, output)) give(tape, output, caller);
    }
}

void wg__give_committed(wg_tape *tape, const wg__plan *plan, const wg__fp *caller)
{
    for (uint32_t i = 0; i < plan->n_finals && tape->on_gradient.callback; i++) {
        const wg__output *output = &plan->outputs[plan->finals[i].output];
        if (plan->finals[i].end > plan->n_instrs || !is_in_place(tape, output)) give(tape, output, caller);
    }
}
