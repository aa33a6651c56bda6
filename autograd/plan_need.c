/* Pass: drop what nobody needs. Marks, backwards from what is wanted, every node that must be computed, and
 * counts who reads whom. Exact. */
#include "plan.h"

bool wg__plan_need(wg__planner *p)
{
    wg_tape *tape = p->tape;
    for (uint32_t i = 0; i < p->plan->n_outputs; i++) p->state[p->plan->outputs[i].node] |= WG__NEEDED | WG__OUTPUT;
    for (uint32_t id = p->n - 1; id > 0; id--) {
        const wg__node *node = &tape->nodes[id];
        if (!(p->state[id] & WG__NEEDED) || !node->op || (node->flags & WG__NODE_VALUE)) continue;
        p->again |= node->flags & WG__NODE_AGAIN;
        const uint32_t *in = wg__inputs(tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) {
            p->state[in[k]] |= WG__NEEDED;
            p->uses[in[k]]++;
        }
    }
    p->state[0] = 0; /* operands that were not given */
    return true;
}
