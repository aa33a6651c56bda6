/* The interpreter of pointwise chains. It runs every step on one tile of the iteration space before the next tile, so
 * that values between steps stay in the first-level cache (1.15 to 1.7 times a model's speed, docs/performance.md, pass
 * fuse).
 *
 * The shape of a tile depends on the operands. If all are contiguous like the space (flat) or a single element
 * (uniform), tiles are pieces of the whole space. Otherwise tiles are pieces of innermost rows if these are long, and
 * several rows if they are short. An operand is read and written in place if its elements in a tile are contiguous;
 * otherwise it is gathered into, or scattered from, a tile in the scratch. */
#include "pointwise.h"

#include <string.h>

#include "../base/elements.h"
#include "../base/integers.h"

enum {
    LONG_ROW = 128, /* elements; chosen, not measured */
    /* Bytes between tiles in the scratch: not a multiple of a page, since addresses equal modulo a page share cache
     * sets. */
    TILE_STRIDE = WG__CHAIN_TILE * 8 + 35 * 64
};

/* Rows [row, row + rows) of the space, and of each row columns [col, col + len). */
typedef struct tile {
    int64_t row, rows, col, len;
} tile;

typedef struct run_state {
    const wg__chain *chain;
    const void **value; /* [n_loads + n_registers] the address of each value of this tile */
    void **target;      /* [n_stores] the address of a result; NULL: its register, from which it is scattered */
    char *registers;    /* n_registers tiles */
    char *gathered;     /* n_loads tiles */
    char *states;       /* n_sums */
    tile tile;
} run_state;

/* ---- filling with an element of 1, 2, 4 or 8 bytes ----------------------------------------------------------- */

static void fill(void *out, const void *in, int64_t n, unsigned size)
{
    if (size == 4) {
        uint32_t *to = out, value = *(const uint32_t *)in;
        for (int64_t i = 0; i < n; i++) to[i] = value;
    } else if (size == 8) {
        uint64_t *to = out, value = *(const uint64_t *)in;
        for (int64_t i = 0; i < n; i++) to[i] = value;
    } else if (size == 2) {
        uint16_t *to = out, value = *(const uint16_t *)in;
        for (int64_t i = 0; i < n; i++) to[i] = value;
    } else {
        memset(out, *(const uint8_t *)in, (size_t)n);
    }
}

static inline char *element(const wg__chain_operand *o, int64_t i) { return (char *)o->data + i * o->size; }

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* The element of o at the start of a row. */
static inline int64_t row_start(const wg__chain *c, const wg__chain_operand *o, int64_t row)
{
    int64_t at = 0;
    for (int d = c->rank - 2; d > 0; d--) {
        int64_t next = row / c->size[d];
        at += (row - next * c->size[d]) * o->stride[d];
        row = next;
    }
    return c->rank > 1 ? at + row * o->stride[0] : at;
}

static void gather(const wg__chain *c, const wg__chain_operand *o, tile t, char *out)
{
    int64_t stride = o->stride[c->rank - 1];
    for (int64_t r = 0; r < t.rows; r++, out += t.len * o->size) {
        const char *in = element(o, row_start(c, o, t.row + r) + t.col * stride);
        if (stride == 0)
            fill(out, in, t.len, o->size);
        else
            wg__move_elements(out, 1, in, stride, t.len, o->size);
    }
}

static void scatter(const wg__chain *c, const wg__chain_operand *o, tile t, const char *in)
{
    int64_t stride = o->stride[c->rank - 1];
    for (int64_t r = 0; r < t.rows; r++, in += t.len * o->size)
        wg__move_elements(element(o, row_start(c, o, t.row + r) + t.col * stride), stride, in, 1, t.len, o->size);
}

/* Whether o is the same in every row. */
static bool periodic(const wg__chain *c, const wg__chain_operand *o)
{
    for (int d = 0; d < c->rank - 1; d++)
        if (o->stride[d] != 0) return false;
    return true;
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* Fills the tiles of uniform loads, once, for tiles of at most n elements. */
static void fill_uniform(run_state *p, int64_t n)
{
    const wg__chain *c = p->chain;
    for (int i = 0; i < c->n_loads; i++) {
        if (!c->loads[i].uniform) continue;
        p->value[i] = p->gathered + (size_t)i * TILE_STRIDE;
        fill(p->gathered + (size_t)i * TILE_STRIDE, c->loads[i].data, n, c->loads[i].size);
    }
}

static inline void *state_of(const run_state *p, int sum) { return p->states + p->chain->sums[sum].state; }

/* Later steps read a stored value from its target. */
static inline void run_steps(const run_state *p, int64_t n)
{
    const wg__chain *c = p->chain;
    const void **registers = p->value + c->n_loads;
    for (const wg__chain_step *s = c->steps, *end = s + c->n_steps; s < end; s++) {
        if (!s->fn) {
            c->sums[s->sum].kernels->feed(state_of(p, s->sum), p->value[s->in[0]], n);
            continue;
        }
        const void *in[4];
        for (int k = 0; k < s->n_in; k++) in[k] = p->value[s->in[k]];
        void *target = s->store >= 0 ? p->target[s->store] : NULL;
        void *y = target ? target : p->registers + (size_t)s->out * TILE_STRIDE;
        s->fn(n, y, in);
        registers[s->out] = y;
        if (s->store >= 0 && !target) scatter(c, &c->stores[s->store], p->tile, y);
    }
}

/* Tiles of the whole space: all operands are flat or uniform. */
static void run_flat(run_state *p, int64_t begin, int64_t end)
{
    const wg__chain *c = p->chain;
    fill_uniform(p, min64(end - begin, WG__CHAIN_TILE));
    for (int64_t first = begin; first < end; first += WG__CHAIN_TILE) {
        for (int i = 0; i < c->n_loads; i++)
            if (!c->loads[i].uniform) p->value[i] = element(&c->loads[i], first);
        for (int i = 0; i < c->n_stores; i++) p->target[i] = element(&c->stores[i], first);
        run_steps(p, min64(end - first, WG__CHAIN_TILE));
    }
}

/* Tiles within one row. */
static void run_long_rows(run_state *p, int64_t begin, int64_t end)
{
    const wg__chain *c = p->chain;
    int64_t row = c->size[c->rank - 1], n;
    int inner = c->rank - 1;
    fill_uniform(p, min64(row, WG__CHAIN_TILE));
    for (int64_t first = begin; first < end; first += n) {
        tile t = {.row = first / row, .rows = 1, .col = first % row};
        n = min64(min64(row - t.col, WG__CHAIN_TILE), end - first);
        t.len = n;
        p->tile = t;
        for (int i = 0; i < c->n_loads; i++) {
            const wg__chain_operand *o = &c->loads[i];
            if (o->uniform) continue;
            if (o->stride[inner] == 1) {
                p->value[i] = element(o, row_start(c, o, t.row) + t.col);
                continue;
            }
            char *own = p->gathered + (size_t)i * TILE_STRIDE;
            bool same =
                o->stride[inner] == 0 && t.col > 0 && first > begin; /* the first piece of a row is the longest */
            if (!same) gather(c, o, t, own);
            p->value[i] = own;
        }
        for (int i = 0; i < c->n_stores; i++) {
            const wg__chain_operand *o = &c->stores[i];
            p->target[i] = o->stride[inner] == 1 ? element(o, row_start(c, o, t.row) + t.col) : NULL;
        }
        run_steps(p, n);
    }
}

/* Tiles of several whole rows. */
static void run_short_rows(run_state *p, int64_t begin, int64_t end)
{
    const wg__chain *c = p->chain;
    int64_t row = c->size[c->rank - 1], tile_rows = WG__CHAIN_TILE / row, stop = end / row;
    fill_uniform(p, min64(end - begin, WG__CHAIN_TILE));
    for (int64_t first = begin / row; first < stop; first += tile_rows) {
        tile t = {.row = first, .rows = min64(stop - first, tile_rows), .len = row};
        p->tile = t;
        for (int i = 0; i < c->n_loads; i++) {
            const wg__chain_operand *o = &c->loads[i];
            if (o->uniform) continue;
            char *own = p->gathered + (size_t)i * TILE_STRIDE;
            p->value[i] = o->flat ? element(o, first * row) : own;
            bool same = first > begin / row && periodic(c, o); /* the first tile has the most rows */
            if (!o->flat && !same) gather(c, o, t, own);
        }
        for (int i = 0; i < c->n_stores; i++)
            p->target[i] = c->stores[i].flat ? element(&c->stores[i], first * row) : NULL;
        run_steps(p, t.rows * row);
    }
}

static size_t pointers(const wg__chain *c)
{
    return aligned_bytes((size_t)(c->n_loads + c->n_registers + c->n_stores) * sizeof(void *));
}

/* Runs a task's block of every span. */
void wg__chain_run(const wg__chain *c, int64_t task, void *scratch)
{
    run_state p = {.chain = c, .registers = scratch};
    p.gathered = p.registers + (size_t)c->n_registers * TILE_STRIDE;
    p.value = (const void **)(void *)(p.gathered + (size_t)c->n_loads * TILE_STRIDE);
    p.target = (void **)(p.value + c->n_loads + c->n_registers);
    bool flat = true;
    for (int i = 0; i < c->n_loads; i++) flat &= c->loads[i].flat | c->loads[i].uniform;
    for (int i = 0; i < c->n_stores; i++) flat &= c->stores[i].flat;
    p.states = (char *)p.value + pointers(c);
    for (int64_t span = 0; span < c->numel; span += c->span) {
        int64_t begin = span + task * c->block, end = min64(begin + c->block, span + c->span);
        for (int i = 0; i < c->n_sums; i++) {
            const wg__chain_sum *s = &c->sums[i];
            char *out = (char *)s->out + task * c->block / c->line * s->size;
            s->kernels->begin(state_of(&p, i), out, c->line, span > 0);
        }
        if (flat)
            run_flat(&p, begin, end);
        else if (c->rank == 1 || c->size[c->rank - 1] >= LONG_ROW)
            run_long_rows(&p, begin, end);
        else
            run_short_rows(&p, begin, end);
    }
}

size_t wg__chain_scratch(const wg__chain *c)
{
    size_t tiles = (size_t)(c->n_registers + c->n_loads) * TILE_STRIDE;
    return tiles + pointers(c) + c->state_bytes;
}
