/* Gathering parts: recursive doubling, the reverse of the halving in halving.c, or each rank to each other. */
#include "exchange.h"
#include "tree.h"

static wg__range places(const int64_t *cut, int begin, int end) { return (wg__range){cut[begin], cut[end]}; }

/* The distance halves and the range of places doubles: the places whose leading bits are those of this rank's. */
static wg_status doubling(wg_world *w, const wg__flat *f, const int64_t *cut, uint64_t *count)
{
    const int place = wg__place(w->size, w->rank);
    wg_status status = WG_OK;
    for (int distance = w->size / 2, n = 1; distance > 0 && status == WG_OK; distance /= 2, n *= 2) {
        const int other = w->rank ^ distance, own = place / n * n, theirs = own ^ n;
        status = wg__exchange(w, (wg__side){f, places(cut, own, own + n), other},
                              (wg__side){f, places(cut, theirs, theirs + n), other}, count);
    }
    return status;
}

static wg_status direct(wg_world *w, const wg__flat *f, const int64_t *cut, uint64_t *count)
{
    wg_status status = WG_OK;
    for (int distance = 1; distance < w->size && status == WG_OK; distance++) {
        const int to = (w->rank + distance) % w->size, from = (w->rank - distance + w->size) % w->size;
        status = wg__exchange(w, (wg__side){f, places(cut, w->rank, w->rank + 1), to},
                              (wg__side){f, places(cut, from, from + 1), from}, count);
    }
    return status;
}

wg_status wg__gather(wg_world *w, const wg__flat *f, const int64_t *cut, uint64_t *count)
{
    if (w->error.status != WG_OK) return w->error.status;
    return (wg__is_power(w->size) ? doubling : direct)(w, f, cut, count);
}
