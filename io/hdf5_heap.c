/* Links of an HDF5 group with more than 8 of them: a version 2 B-tree, whose records say where in a fractal heap each
 * link is. See hdf5.h. */
#include "hdf5.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 16, RECORD = 11 /* a hash of 4 bytes, an id of 7 */, TREE_PREFIX = 6, TREE_EXTRA = 10 };

typedef struct heap {
    wg__h5 *h;
    wg__h5_each each;
    void *context;
    uint64_t width, start, most; /* blocks of a row; bytes of the first block, of the largest one */
    uint64_t root, rows;         /* rows 0: the root is a block, not a table of them */
    size_t offset, length;       /* bytes of an id's fields */
    int direct_rows;             /* rows of blocks; further ones are of tables */
} heap;

static wg_status fail(const heap *p) { return wg__h5_fail(p->h, "the heap of its links is damaged"); }

static int log2_of(uint64_t n) { return 63 - __builtin_clzll(n | 1); }
/* Bytes that hold numbers up to n. */
static size_t bytes_for(uint64_t n) { return (size_t)log2_of(n) / 8 + 1; }

static uint64_t number(const char *from, size_t n)
{
    uint64_t x = 0;
    memcpy(&x, from, n);
    return x;
}

/* ---- the heap: blocks in rows, of a size that doubles from the second row on ---- */

static bool is_power(uint64_t n) { return n > 0 && (n & (n - 1)) == 0; }

static wg_status open_heap(heap *p, uint64_t at)
{
    enum { BITS = 128, ROOT = 132, SIZE = 142 };
    char head[SIZE];
    wg_status status = wg__h5_take(p->h, at, head, sizeof head);
    if (status != WG_OK) return status;
    p->width = wg__get16(head + 110);
    p->start = wg__get64(head + 112);
    p->most = wg__get64(head + 120);
    p->root = wg__get64(head + ROOT);
    p->rows = wg__get16(head + ROOT + 8);
    const unsigned bits = wg__get16(head + BITS);
    const uint64_t largest = wg__get32(head + 10); /* object that is in a block */
    if (memcmp(head, "FRHP\0", 5) != 0 || wg__get16(head + 5) != RECORD - 4 || bits == 0 || bits > 40 ||
        p->width == 0 || !is_power(p->start) || !is_power(p->most) || p->most < p->start ||
        p->most > 1ull << bits || largest == 0)
        return fail(p);
    if (wg__get16(head + 7) != 0) return wg__h5_fail(p->h, "its links are compressed, which is not read");
    p->offset = (bits + 7) / 8;
    p->length = ((size_t)log2_of(p->most) + 7) / 8;
    if (p->length > bytes_for(largest)) p->length = bytes_for(largest);
    p->direct_rows = log2_of(p->most) - log2_of(p->start) + 2;
    return 1 + p->offset + p->length > RECORD - 4 ? fail(p) : WG_OK;
}

/* Where the heap's byte `at` is in the file, and how many bytes of its block follow. */
static wg_status find_byte(const heap *p, uint64_t at, uint64_t *place, uint64_t *left)
{
    char mark[4], child[8];
    uint64_t block = p->root, size = p->start;
    bool is_table = p->rows > 0;
    for (int depth = 0; is_table; depth++) {
        if (depth > MOST_DEPTH) return fail(p);
        const uint64_t in_rows = at / p->start / p->width; /* rows of the first size that are before it */
        const int row = in_rows == 0 ? 0 : log2_of(in_rows) + 1;
        if (row > 40) return fail(p);
        size = p->start << (row > 0 ? row - 1 : 0);
        const uint64_t before = row > 0 ? size * p->width : 0, column = (at - before) / size;
        wg_status status = wg__h5_take(p->h, block, mark, sizeof mark);
        if (status == WG_OK && memcmp(mark, "FHIB", 4) != 0) return fail(p);
        if (status == WG_OK)
            status = wg__h5_take(p->h, block + 13 + p->offset + 8 * ((uint64_t)row * p->width + column), child, 8);
        if (status != WG_OK) return status;
        block = wg__get64(child);
        at -= before + column * size;
        is_table = row >= p->direct_rows;
    }
    wg_status status = wg__h5_take(p->h, block, mark, sizeof mark);
    if (status != WG_OK) return status;
    if (memcmp(mark, "FHDB", 4) != 0 || at >= size) return fail(p);
    *place = block + at;
    *left = size - at;
    return WG_OK;
}

/* An id: its kind in bits 4 and 5 (0: in a block), the object's offset, its length. */
static wg_status visit_object(const heap *p, const char *id)
{
    uint64_t place = 0, left = 0;
    char *object = NULL;
    if (id[0] != 0) return fail(p);
    const uint64_t n = number(id + 1 + p->offset, p->length);
    wg_status status = find_byte(p, number(id + 1, p->offset), &place, &left);
    if (status != WG_OK) return status;
    if (n > left) return fail(p);
    status = wg__h5_take_new(p->h, place, n, &object);
    const wg__h5_message m = {.data = object, .size = (size_t)n, .type = WG__H5_LINK};
    if (status == WG_OK) status = p->each(p->context, &m);
    free(object);
    return status;
}

/* ---- the tree ---- */

typedef struct level {
    size_t count, total; /* bytes of a child's two numbers of records, in nodes of this level */
} level;

/* These widths follow from how many records nodes of the level below can have. */
static bool measure(uint32_t node, int depth, level *levels)
{
    uint64_t most = (node - TREE_EXTRA) / RECORD, all = most;
    const size_t count = bytes_for(most);
    size_t total = 0;
    for (int i = 1; i <= depth; i++) {
        const size_t pointer = 8 + count + total;
        levels[i] = (level){count, total};
        if (node < TREE_EXTRA + pointer + RECORD + pointer) return false;
        most = (node - TREE_EXTRA - pointer) / (RECORD + pointer);
        if (__builtin_mul_overflow(all, most + 1, &all) || __builtin_add_overflow(all, most, &all)) return false;
        total = bytes_for(all);
    }
    return true;
}

/* A node of n records: "BTIN" or, at depth 0, "BTLF"; version, type; the records; of each child its address, the number
 * of its records, and that of all below it. */
static wg_status walk_node(const heap *p, const level *levels, uint64_t at, uint64_t n, int depth)
{
    char head[TREE_PREFIX], *body = NULL;
    const size_t pointer = depth > 0 ? 8 + levels[depth].count + levels[depth].total : 0;
    wg_status status = wg__h5_take(p->h, at, head, sizeof head);
    if (status != WG_OK) return status;
    if (memcmp(head, depth > 0 ? "BTIN" : "BTLF", 4) != 0 || n > UINT16_MAX) return fail(p);
    status = wg__h5_take_new(p->h, at + sizeof head, n * RECORD + (depth > 0 ? (n + 1) * pointer : 0), &body);
    for (uint64_t i = 0; i < n && status == WG_OK; i++) status = visit_object(p, body + i * RECORD + 4);
    for (uint64_t i = 0; depth > 0 && i <= n && status == WG_OK; i++) {
        const char *child = body + n * RECORD + i * pointer;
        status = walk_node(p, levels, wg__get64(child), number(child + 8, levels[depth].count), depth - 1);
    }
    free(body);
    return status;
}

wg_status wg__h5_walk_heap(wg__h5 *h, uint64_t at, uint64_t index, wg__h5_each each, void *context)
{
    enum { NAMES = 5, SIZE = 34 };
    heap p = {.h = h, .each = each, .context = context};
    level levels[MOST_DEPTH + 1] = {{0}};
    char head[SIZE];
    wg_status status = open_heap(&p, at);
    if (status == WG_OK) status = wg__h5_take(h, index, head, sizeof head);
    if (status != WG_OK) return status;
    const uint32_t node = wg__get32(head + 6);
    const int depth = wg__get16(head + 12);
    if (memcmp(head, "BTHD\0", 5) != 0 || head[5] != NAMES || wg__get16(head + 10) != RECORD ||
        depth > MOST_DEPTH || node < TREE_EXTRA + RECORD || !measure(node, depth, levels))
        return fail(&p);
    if (wg__get64(head + 16) == WG__H5_NOWHERE) return WG_OK; /* no links */
    return walk_node(&p, levels, wg__get64(head + 16), wg__get16(head + 24), depth);
}
