/* The cut of attention into tasks, and the scratch of a task: by shapes and strides alone. */
#include "attention.h"

#include "../gemm/gemm.h"

static wg__matrix matrix_of(const wg_operand *x)
{
    return (wg__matrix){NULL, x->stride[x->rank - 2], x->stride[x->rank - 1]};
}

/* The largest scratch of the products so far. */
typedef struct need {
    wg_dtype dtype;
    bool bf16;
    size_t bytes;
} need;

static void add(need *most, int64_t m, int64_t n, int64_t k, wg__matrix a, wg__matrix b)
{
    wg__segment segment;
    wg__product p =
        wg__product_of(most->dtype, most->bf16, m, n, k, (wg__matrix){NULL, n, 1}, a, b, true, &segment);
    size_t bytes = m && n ? wg__product_get(p.dtype, p.bf16)->scratch(&p) : 0;
    if (bytes > most->bytes) most->bytes = bytes;
}

static size_t score_bytes(const wg__attention *p, wg_dtype dtype)
{
    return (size_t)(p->rows * p->stride) * wg_dtype_size(dtype);
}

int64_t wg__attention_tasks(const wg_args *args)
{
    wg__attention p = wg__attention_sizes(args);
    return p.leading * p.blocks;
}

typedef struct block_size {
    int64_t rows, keys;
} block_size;

/* Sets the size of block number `index`; false if it equals that of the previous block. Each size is checked, since a
 * block that sees fewer keys may need more scratch: its products are cut into fewer tasks. */
static bool next_size(const wg__attention *p, int64_t index, block_size *size)
{
    wg__attention_block b = wg__attention_block_of(p, index);
    block_size before = *size;
    *size = (block_size){b.rows, b.high - b.low};
    return index == 0 || size->rows != before.rows || size->keys != before.keys;
}

/* The number of keys that a block behind a mask sees, for each of its possible sizes: the next one, or 0. */
static int64_t fewer_keys(const wg__attention *p, int64_t keys)
{
    return p->mask->rank < 0 || keys <= WG__SEEN_KEYS ? 0 : round_up(keys, WG__SEEN_KEYS) - WG__SEEN_KEYS;
}

size_t wg__attention_scratch(const wg_args *args)
{
    wg__attention p = wg__attention_sizes(args);
    wg__matrix q = matrix_of(&args->in[0]), k = matrix_of(&args->in[1]), v = matrix_of(&args->in[2]);
    wg__matrix w = {NULL, p.stride, 1};
    need most = {.dtype = args->out.dtype, .bf16 = args->bf16};
    block_size b = {0};
    for (int64_t i = 0; i < p.blocks; i++) {
        if (!next_size(&p, i, &b)) continue;
        for (int64_t keys = b.keys; keys > 0; keys = fewer_keys(&p, keys)) {
            add(&most, b.rows, keys, p.size, q, wg__transposed(k));
            add(&most, b.rows, p.values, keys, w, v);
        }
    }
    return score_bytes(&p, most.dtype) + most.bytes;
}

int64_t wg__attention_grad_tasks(const wg_args *args) { return wg__attention_sizes(args).leading; }

size_t wg__attention_grad_scratch(const wg_args *args)
{
    wg__attention p = wg__attention_sizes(args);
    wg__matrix q = matrix_of(&args->in[0]), k = matrix_of(&args->in[1]), v = matrix_of(&args->in[2]);
    wg__matrix g = matrix_of(&args->in[3]), w = {NULL, p.stride, 1};
    need most = {.dtype = args->out.dtype, .bf16 = args->bf16};
    block_size b = {0};
    for (int64_t i = 0; i < p.blocks; i++) {
        if (!next_size(&p, i, &b)) continue;
        for (int64_t keys = b.keys; keys > 0; keys = fewer_keys(&p, keys)) {
            add(&most, b.rows, keys, p.size, q, wg__transposed(k));
            add(&most, b.rows, keys, p.values, g, wg__transposed(v));
            add(&most, b.rows, p.size, keys, w, k);
            add(&most, keys, p.size, b.rows, wg__transposed(w), q);
            add(&most, keys, p.values, b.rows, wg__transposed(w), g);
        }
    }
    return 2 * score_bytes(&p, most.dtype) + most.bytes;
}

/* ---- masked products --------------------------------------------------------------------------------------------- */

int64_t wg__masked_tasks(const wg_args *args)
{
    wg__masked p = wg__masked_sizes(args, false);
    return p.leading * p.blocks;
}

/* Of the last block, too, which may be smaller. */
size_t wg__masked_product_scratch(const wg_args *args)
{
    wg__masked p = wg__masked_sizes(args, false);
    need most = {.dtype = args->out.dtype, .bf16 = args->bf16};
    wg__matrix a = matrix_of(&args->in[0]), b = matrix_of(&args->in[1]);
    int64_t rows[] = {p.rows, p.m - max64(0, p.blocks - 1) * p.rows};
    for (int i = 0; i < 2; i++) {
        if (((const wg__masked_attr *)args->attr)->transposed)
            add(&most, p.n, rows[i], p.k, wg__transposed(b), wg__transposed(a));
        else
            add(&most, rows[i], p.n, p.k, a, b);
    }
    return most.bytes;
}

size_t wg__masked_dots_scratch(const wg_args *args)
{
    wg__masked p = wg__masked_sizes(args, true);
    need most = {.dtype = args->out.dtype, .bf16 = args->bf16};
    wg__matrix a = matrix_of(&args->in[0]), b = wg__transposed(matrix_of(&args->in[1]));
    add(&most, p.rows, p.n, p.k, a, b);
    add(&most, p.m - max64(0, p.blocks - 1) * p.rows, p.n, p.k, a, b);
    return most.bytes;
}
