/* An exchange of ranges: while one message is on its way the next is packed, and the one before is stored. */
#include "exchange.h"

/* Message i of a side. */
static wg__range chunk_of(const wg__side *side, int64_t i)
{
    const int64_t n = WG__CHUNK / (int64_t)side->flat->size, begin = side->range.begin + i * n;
    return (wg__range){begin, side->range.end - begin < n ? side->range.end : begin + n};
}

static int64_t count_chunks(const wg__side *side)
{
    const int64_t n = WG__CHUNK / (int64_t)side->flat->size, numel = side->range.end - side->range.begin;
    return numel > 0 ? (numel + n - 1) / n : 0;
}

static size_t bytes_of(const wg__side *side, wg__range r) { return (size_t)(r.end - r.begin) * side->flat->size; }

wg_status wg__exchange(wg_world *w, wg__side send, wg__side receive, uint64_t *count)
{
    const int64_t n_send = count_chunks(&send), n_receive = count_chunks(&receive);
    const int64_t n = n_send > n_receive ? n_send : n_receive;
    wg__request sending[2] = {{{0}, false}}, receiving[2] = {{{0}, false}};
    const wg__lane *lane = &w->lanes[0];
    wg_status status = w->error.status;
    for (int64_t i = 0; i <= n && status == WG_OK; i++) {
        const int slot = (int)(i % 2), before = 1 - slot;
        if (i < n_receive) {
            const size_t bytes = bytes_of(&receive, chunk_of(&receive, i));
            status = wg__receive(w, WG__DATA, lane->in[slot], bytes, receive.rank, &receiving[slot]);
        }
        if (i < n_send && status == WG_OK) {
            const wg__range r = chunk_of(&send, i);
            status = wg__wait(w, &sending[slot], send.rank);
            if (status != WG_OK) break;
            wg__flat_read(send.flat, r, lane->out[slot]);
            status = wg__send(w, WG__DATA, lane->out[slot], bytes_of(&send, r), send.rank, count, &sending[slot]);
        }
        if (i > 0 && i - 1 < n_receive && status == WG_OK) {
            status = wg__wait(w, &receiving[before], receive.rank);
            if (status != WG_OK) break;
            wg__flat_write(receive.flat, chunk_of(&receive, i - 1), lane->in[before]);
        }
    }
    for (int slot = 0; slot < 2 && status == WG_OK; slot++) status = wg__wait(w, &sending[slot], send.rank);
    return status;
}
