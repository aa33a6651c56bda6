/* Pass liveness: marks, backwards from the outputs, every node that must be computed, and counts its readers. Exact. */
#include "planner.h"

bool wg__plan_liveness(wg__planner *p)
{
    for (uint32_t i = 0; i < p->plan->n_outputs; i++) p->flags[p->plan->outputs[i].node] |= WG__LIVE | WG__OUTPUT;
    for (uint32_t id = p->n - 1; id > 0; id--) {
        const wg__node *node = wg__node_at(p, id);
        if (!(p->flags[id] & WG__LIVE) || !node->op || (node->flags & WG__NODE_VALUE)) continue;
        p->remat |= (node->flags & WG__NODE_REMAT) != 0;
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) {
            p->flags[in[k]] |= WG__LIVE;
            p->uses[in[k]]++;
        }
    }
    p->flags[0] = 0; /* missing optional operands */
    p->live_known = true;
    return true;
}
