/* Recursive halving, if R is a power of two that divides S: each rank has the sum of one node, and ranks that differ in
 * bit k alone hold siblings once bits below k are added (Rabenseifner 2004). In round k a rank sends the half of its
 * range that it does not keep to the rank at distance 2^k, and adds what it gets to the half that it keeps; R - 1 parts
 * in all. Adding is element by element, so the range is cut into buckets, each of which goes through the rounds on its
 * own:
 *
 *     gradients   [ .... bucket 2 .... | bucket 1 | bucket 0 ] [ means: the last buckets ]
 *                 final as the backward pass gets here  <---
 *
 * A bucket begins as soon as its gradients are final, while the backward pass of the rank's last shard goes on. The
 * order of the buckets is the same on all ranks, and so is the order of messages between any two: the order in which
 * gradients become final is of no consequence. A rank does not wait with what it sends for what it receives: the
 * last buckets are sent by one rank of two, the first ones by the other, and a link moves both at once. */
#include "internal.h"

#include <string.h>

static int64_t bucket_size(const wg_dist *d) { return WG__CHUNK / (int64_t)d->grads.size; }

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Buckets of parameters, which come before those of means. */
static int64_t count_trained(const wg_dist *d) { return ceil_div(d->n_elements, bucket_size(d)); }

static int64_t count_buckets(const wg_dist *d)
{
    return count_trained(d) + ceil_div(d->grads.numel - d->n_elements, bucket_size(d));
}

static wg__range bucket_at(const wg_dist *d, int64_t i)
{
    const int64_t size = bucket_size(d), trained = count_trained(d);
    if (i < trained) {
        const int64_t end = d->n_elements - i * size;
        return (wg__range){end > size ? end - size : 0, end};
    }
    const int64_t begin = d->n_elements + (i - trained) * size;
    return (wg__range){begin, d->grads.numel - begin < size ? d->grads.numel : begin + size};
}

static size_t bytes_of(const wg_dist *d, wg__range r) { return (size_t)(r.end - r.begin) * d->grads.size; }

bool wg__halving_new(wg_dist *d)
{
    const int ranks = wg_world_size(d->world), rank = wg_world_rank(d->world);
    if (ranks == 1 || !wg__halves(d->shards, ranks)) return true;
    d->rounds = wg__take(d, WG__LANES, sizeof *d->rounds);
    d->final = wg__take(d, d->n_trained, sizeof *d->final);
    if (!d->rounds || !d->final) return false;
    for (int distance = 1, n = ranks; distance < ranks; distance *= 2, n /= 2) {
        const int own = d->place / (n / 2) * (n / 2), theirs = own ^ (n / 2);
        d->rounds[d->n_rounds++] = (wg__round){.other = rank ^ distance,
                                               .kept = {d->cut[own], d->cut[own + n / 2]},
                                               .sent = {d->cut[theirs], d->cut[theirs + n / 2]}};
    }
    wg__halving_clear(d);
    return true;
}

void wg__halving_clear(wg_dist *d)
{
    for (int r = 0; r < d->n_rounds; r++) {
        wg__round *round = &d->rounds[r];
        round->n_sent = round->n_received = round->n_added = 0;
    }
    d->n_ready = 0;
    d->n_waiting = d->n_trained;
    if (d->n_rounds > 0) memset(d->final, 0, d->n_trained * sizeof *d->final);
}

/* ---- a round ---- */

/* Buckets whose sums over the nodes before the round are done. */
static int64_t limit_of(const wg_dist *d, int r) { return r == 0 ? d->n_ready : d->rounds[r - 1].n_added; }

static const wg__lane *lane_of(const wg_dist *d, int r) { return &d->world->lanes[1 + r]; }

static bool is_empty(wg__range r) { return r.end <= r.begin; }

/* Sends the other rank's parts, of which two may be on their way. */
static wg_status send_some(wg_dist *d, int r, bool *moved)
{
    wg_world *w = d->world;
    wg__round *round = &d->rounds[r];
    wg_status status = WG_OK;
    for (; status == WG_OK && round->n_sent < limit_of(d, r); round->n_sent++, *moved = true) {
        const int slot = (int)(round->n_sent % 2);
        const wg__range part = wg__common(bucket_at(d, round->n_sent), round->sent);
        bool free = false;
        if (is_empty(part)) continue;
        status = wg__test(w, &round->sending[slot], round->other, &free);
        if (status != WG_OK || !free) break;
        char *out = lane_of(d, r)->out[slot];
        wg__flat_read(&d->grads, part, out);
        status = wg__send(w, WG__SUMS, out, bytes_of(d, part), round->other, &w->counts.gradient_bytes,
                          &round->sending[slot]);
    }
    return status;
}

/* Makes room for the other rank's sums of the parts that are kept, two at a time. */
static wg_status receive_some(wg_dist *d, int r, bool *moved)
{
    wg__round *round = &d->rounds[r];
    const int64_t n = count_buckets(d);
    wg_status status = WG_OK;
    for (; status == WG_OK && round->n_received < n && round->n_received - round->n_added < 2;
         round->n_received++, *moved = true) {
        const int slot = (int)(round->n_received % 2);
        const wg__range part = wg__common(bucket_at(d, round->n_received), round->kept);
        if (is_empty(part)) continue;
        status = wg__receive(d->world, WG__SUMS, lane_of(d, r)->in[slot], bytes_of(d, part), round->other,
                             &round->receiving[slot]);
    }
    return status;
}

/* Adds what has arrived to what this rank has. */
static wg_status add_some(wg_dist *d, int r, bool *moved)
{
    wg__round *round = &d->rounds[r];
    wg_status status = WG_OK;
    for (; status == WG_OK && round->n_added < round->n_received; round->n_added++, *moved = true) {
        const int slot = (int)(round->n_added % 2);
        const wg__range part = wg__common(bucket_at(d, round->n_added), round->kept);
        bool here = false;
        if (is_empty(part)) continue;
        if (round->n_added >= limit_of(d, r)) break;
        status = wg__test(d->world, &round->receiving[slot], round->other, &here);
        if (status != WG_OK || !here) break;
        wg__flat_add(&d->grads, part, lane_of(d, r)->in[slot]);
    }
    return status;
}

wg_status wg__halving_go_on(wg_dist *d, bool *moved)
{
    wg_status status = WG_OK;
    *moved = false;
    for (int r = 0; r < d->n_rounds && status == WG_OK; r++) {
        status = add_some(d, r, moved);
        if (status == WG_OK) status = receive_some(d, r, moved);
        if (status == WG_OK) status = send_some(d, r, moved);
    }
    return status;
}

/* ---- all of it ---- */

/* The first round that has not ended, or NULL. */
static const wg__round *unended(const wg_dist *d)
{
    const int64_t n = count_buckets(d);
    for (int r = 0; r < d->n_rounds; r++)
        if (d->rounds[r].n_sent < n || d->rounds[r].n_added < n) return &d->rounds[r];
    return NULL;
}

wg_status wg__halving_finish(wg_dist *d)
{
    wg_status status = WG_OK;
    double since = 0;
    if (d->n_rounds == 0) return WG_OK;
    d->n_ready = count_buckets(d);
    for (const wg__round *round; status == WG_OK && (round = unended(d));) {
        bool moved;
        status = wg__halving_go_on(d, &moved);
        if (moved)
            wg__awake(d->world, &since);
        else if (status == WG_OK)
            status = wg__idle(d->world, &since, round->other);
    }
    wg__awake(d->world, &since);
    for (int r = 0; r < d->n_rounds; r++)
        for (int slot = 0; slot < 2 && status == WG_OK; slot++)
            status = wg__wait(d->world, &d->rounds[r].sending[slot], d->rounds[r].other);
    return status;
}

/* ---- while the backward pass runs ---- */

void wg__halving_final(wg_dist *d, size_t param)
{
    d->final[param] = true;
    while (d->n_waiting > 0 && d->final[d->n_waiting - 1]) d->n_waiting--;
    const int64_t low = d->grads.begin[d->n_waiting];
    const int64_t ready = low == 0 ? count_trained(d) : (d->n_elements - low) / bucket_size(d);
    for (; d->n_ready < ready; d->n_ready++) wg__merge(d, bucket_at(d, d->n_ready));
}

void wg__halving_rest(wg_dist *d)
{
    const int64_t buckets = count_buckets(d);
    for (; d->n_ready < buckets; d->n_ready++) wg__merge(d, bucket_at(d, d->n_ready));
}
