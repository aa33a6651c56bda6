/* The values that are live when most bytes of the block are, by scope: where the memory of a step goes. */
#include "lifetime.h"

/* Whether the block has room for the value of a node; one in place of another is counted with that one. */
static bool is_in_block(const wg__planner *p, const wg__lifetime *lifetimes, uint32_t id)
{
    return lifetimes[id].first && !p->places.slot[id] && !lifetimes[id].in_place_of;
}

/* The stage at which most bytes are live. change: [n_stages + 3] zeros. */
static uint32_t fullest_stage(const wg__planner *p, const wg__lifetime *lifetimes, int64_t *change)
{
    int64_t live = 0, most = 0;
    uint32_t fullest = 0;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!is_in_block(p, lifetimes, id)) continue;
        assert(lifetimes[id].last <= p->schedule.n_stages + 1);
        change[lifetimes[id].first] += wg__room_of(p, id);
        change[lifetimes[id].last + 1] -= wg__room_of(p, id);
    }
    for (uint32_t stage = 1; stage <= p->schedule.n_stages + 1; stage++)
        if ((live += change[stage]) > most) most = live, fullest = stage;
    return fullest;
}

bool wg__peak_by_scope(wg__planner *p, const wg__lifetime *lifetimes)
{
    wg__plan *plan = p->plan;
    const uint32_t n_scopes = p->tape->scopes.n;
    int64_t *change = wg__arena_array(p->scratch, p->schedule.n_stages + 3u, sizeof *change);
    int64_t *bytes = wg__arena_array(p->scratch, n_scopes, sizeof *bytes);
    if (!change || !bytes) return false;
    const uint32_t stage = fullest_stage(p, lifetimes, change);
    uint32_t n = 0;
    for (uint32_t id = 1; id < p->n && stage; id++) {
        const uint32_t scope = wg__node_at(p, id)->scope;
        assert(scope < n_scopes);
        if (!is_in_block(p, lifetimes, id) || lifetimes[id].first > stage || lifetimes[id].last < stage) continue;
        n += bytes[scope] == 0 && wg__room_of(p, id) > 0;
        bytes[scope] += wg__room_of(p, id);
    }
    plan->peak = wg__arena_array(&plan->memory, n, sizeof *plan->peak);
    if (!plan->peak) return false;
    for (uint32_t scope = 0; scope < n_scopes; scope++)
        if (bytes[scope] > 0) plan->peak[plan->n_peak++] = (wg__scope_bytes){scope, bytes[scope]};
    assert(plan->n_peak == n);
    return true;
}
